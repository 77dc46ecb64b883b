# SPDX-License-Identifier: Apache-2.0
"""Trainers of frameworks, what they are configured with, and what they leave on disk."""

import json
import os
import time
from xml.dom import minidom

import numpy as np
import pytest

import headrace as hr
from headrace import train
from headrace.preprocessors import StandardScaler
from headrace.train import (Checkpoint, CheckpointConfig, DataParallelTrainer, DatasetConfig, FailureConfig, RunConfig,
                            ScalingConfig)

pytest.importorskip('cloudpickle')


@pytest.fixture
def run_config(tmp_path):
    return lambda **options: RunConfig(name='run', storage_path=tmp_path, **options)


def count_rows(config):
    from headrace import train
    names = config.get('names', ['train'])
    rows = {n: sum(len(b['id']) for b in train.get_dataset_shard(n).iter_batches(batch_size=10)) for n in names}
    train.report(rows, rank=train.world_rank(), local=train.local_rank())


# --- configurations ---

def test_a_dataset_that_is_to_travel_says_how(run_config):
    with pytest.raises(TypeError, match='get_dataset_shard'):
        DataParallelTrainer(count_rows, train_loop_config={'x': [hr.range(3)]}, run_config=run_config()).fit()


def test_a_callback_that_raises_leaves_those_of_other_trainers_whole(tmp_path):
    from headrace import _core

    def loop():
        from headrace import train
        train.report(a=1)

    def raises(run, metrics):
        raise LookupError('of the first')
    heard = []
    runs = [DataParallelTrainer(loop, run_config=RunConfig(name=name, storage_path=tmp_path)).begin(name=name, on_report=hears)
            for name, hears in (('first', raises), ('second', lambda run, metrics: heard.append(metrics)))]
    assert all(run.start() for run in runs)
    try:
        time.sleep(1.5)  # both have reported
        with pytest.raises(LookupError, match='of the first'):
            while _core.trainers_wait([run.handle for run in runs], 0.1) is None:
                pass
        while not runs[1].handle.wait():
            pass
        assert heard[0]['a'] == 1
    finally:
        results = [(run.stop(), run.finish())[1] for run in runs]
    assert results[1].metrics['a'] == 1


def test_dataset_configs_say_who_is_split(run_config):
    data = {'train': hr.range(100), 'valid': hr.range(50), 'extra': hr.range(40)}
    result = DataParallelTrainer(
        count_rows, train_loop_config={'names': list(data)}, scaling_config=ScalingConfig(num_workers=2), datasets=data,
        dataset_config={'extra': DatasetConfig(split=True)}, run_config=run_config()).fit()
    assert result.metrics == {'train': 50, 'valid': 50, 'extra': 20, 'rank': 0, 'local': 0}


def test_a_preprocessor_is_fitted_on_one_and_applied_to_those_that_want_it(run_config):
    def loop():
        from headrace import train
        train.report({n: float(sum(b['x'].sum() for b in train.get_dataset_shard(n).iter_batches())) for n in ('train', 'raw', 'b')})
    x = np.arange(100.0)
    data = {'train': lambda: hr.from_numpy({'x': x}), 'raw': hr.from_numpy({'x': x}), 'b': hr.from_numpy({'x': x + 1})}
    trainer = DataParallelTrainer(loop, datasets=data, preprocessor=StandardScaler(['x']), run_config=run_config(),
                                  dataset_config={'raw': DatasetConfig(transform=False)})
    metrics = trainer.fit().metrics
    assert abs(metrics['train']) < 1e-9 and metrics['raw'] == x.sum() and metrics['b'] == pytest.approx(100 / x.std())


def test_dataset_configs_say_in_which_order_and_whether_kept(run_config):
    def loop():
        from headrace import train
        orders = {n: [[i for b in train.get_dataset_shard(n).iter_batches(batch_size=20) for i in b['id'].tolist()]
                      for _ in range(2)] for n in ('train', 'blocks', 'kept')}
        train.report(orders)
    data = {n: hr.range(200, blocks=8) for n in ('train', 'blocks', 'kept')}
    result = DataParallelTrainer(loop, datasets=data, run_config=run_config(), dataset_config={
        'train': DatasetConfig(global_shuffle=True), 'blocks': DatasetConfig(randomize_block_order=True),
        'kept': DatasetConfig(use_stream_api=False)}).fit()
    first, second = result.metrics['train']
    assert first != second != list(range(200)) and sorted(first) == sorted(second) == list(range(200))
    first, second = result.metrics['blocks']
    assert first != second and [i % 25 for i in first] == [i % 25 for i in range(200)]
    assert result.metrics['kept'] == [list(range(200))] * 2


CONTRADICTIONS = [
    ({'train': DatasetConfig(fit=True), 'other': DatasetConfig(fit=True)}, {'train': 1, 'other': 1}, 'fitted on one'),
    ({'train': DatasetConfig(transform=False)}, {'train': 1}, 'contradict'),
    ({'valid': DatasetConfig(required=True)}, {'train': 1}, "'valid' is required"),
]


@pytest.mark.parametrize('given, datasets, words', CONTRADICTIONS)
def test_dataset_configs_that_contradict_are_refused(given, datasets, words):
    with pytest.raises(ValueError, match=words):
        DataParallelTrainer(count_rows, datasets=datasets, dataset_config=given)


def test_a_trainer_without_a_wildcard_knows_its_datasets():
    class Strict(DataParallelTrainer):
        _dataset_config = {'train': DatasetConfig(fit=True, split=True, required=True)}
    with pytest.raises(ValueError, match="'train' is required"):
        Strict(count_rows)
    with pytest.raises(ValueError, match="'more' is not expected"):
        Strict(count_rows, datasets={'train': 1, 'more': 1})
    with pytest.raises(ValueError, match="names 'more'"):
        Strict(count_rows, datasets={'train': 1}, dataset_config={'more': DatasetConfig()})


def test_configurations_refuse_what_cannot_be():
    for wrong in (lambda: ScalingConfig(num_workers=0), lambda: ScalingConfig(use_gpu=False, resources_per_worker={'GPU': 1}),
                  lambda: ScalingConfig(use_gpu=True, resources_per_worker={'GPU': 0}),
                  lambda: FailureConfig(max_failures=1, fail_fast=True), lambda: CheckpointConfig(num_to_keep=0),
                  lambda: CheckpointConfig(checkpoint_score_order='up'), lambda: CheckpointConfig(checkpoint_frequency=-1),
                  lambda: DataParallelTrainer(lambda a, b: None),
                  lambda: DataParallelTrainer(count_rows, run_config=RunConfig(checkpoint_config=CheckpointConfig(checkpoint_frequency=1)))):
        with pytest.raises(ValueError):
            wrong()
    with pytest.raises(TypeError, match='stop'):
        RunConfig(stop=3)


ARGUMENTS = [
    (dict(datasets=[1]), TypeError, 'a dict of name to Dataset'),
    (dict(datasets={'train': [1, 2]}), TypeError, "'train' is of type list: .*from_pandas"),
    (dict(datasets={'train': lambda x: x}), ValueError, "'train': a function .* without arguments, and this one wants x"),
    (dict(dataset_config=DatasetConfig()), TypeError, 'dict of name to DatasetConfig'),
    (dict(scaling_config={'num_worker': 2}), ValueError, "no 'num_worker': there are num_workers"),
    (dict(scaling_config=2), TypeError, 'a ScalingConfig or a dict'),
    (dict(run_config={'name': 'a'}), TypeError, 'run_config: a RunConfig'),
    (dict(preprocessor=len), TypeError, 'BatchMapper'),
    (dict(resume_from_checkpoint=42), TypeError, 'a Checkpoint or its folder'),
]


@pytest.mark.parametrize('given, kind, words', ARGUMENTS)
def test_an_argument_of_the_wrong_kind_is_told_by_name(given, kind, words):
    with pytest.raises(kind, match=words):
        DataParallelTrainer(count_rows, **given)


def test_what_configurations_do_not_know_is_an_error():
    for wrong, words in ((lambda: RunConfig(nam='a'), 'nam'), (lambda: ScalingConfig(num_workers='2'), "num_workers '2'"),
                         (lambda: RunConfig(failure_config={'max_failures': 1}), 'failure_config: a FailureConfig')):
        with pytest.raises(TypeError, match=words):
            wrong()
    with pytest.raises(ValueError, match="tail 'foo'"):
        DatasetConfig(tail='foo')
    assert ScalingConfig.of({'num_workers': 2}).num_workers == 2
    assert os.path.isabs(RunConfig(storage_path='runs').storage_path)


def test_datasets_and_preprocessors_that_do_not_fit_are_told(run_config):
    with pytest.raises(TypeError, match="'train', which its function returned, is of type NoneType"):
        DataParallelTrainer(count_rows, datasets={'train': lambda: None}, run_config=run_config()).fit()
    with pytest.raises(ValueError, match=r"has to be fitted, on a dataset \"train\".* there are \['x'\]"):
        DataParallelTrainer(count_rows, datasets={'x': hr.range(9)}, preprocessor=StandardScaler(['id']),
                            run_config=run_config()).fit()


def test_a_shard_that_is_not_there_is_an_error_that_names_those_that_are(run_config):
    def loop():
        from headrace import train
        train.get_dataset_shard('valid')
    with pytest.raises(hr.NotFoundError, match="no dataset 'valid'; it has 'train'"):
        DataParallelTrainer(loop, datasets={'train': hr.range(9)}, run_config=run_config()).fit()
    with pytest.raises(hr.NotFoundError, match='it has none'):
        DataParallelTrainer(loop, run_config=run_config()).fit()


def test_what_a_loop_leaves_with_is_told_in_the_script(run_config):
    class Strange(Exception):
        def __init__(self, a, b):
            super().__init__(f'{a}{b}')

    def leaves(config):
        import sys
        sys.exit(0)

    def raises(config):
        raise Strange(1, 2)
    for loop, words in ((leaves, r'sys\.exit\(0\)'), (raises, 'Strange: 12')):
        with pytest.raises(hr.FunctionError, match=words) as told:
            DataParallelTrainer(loop, run_config=run_config()).fit()
        assert f'in {loop.__name__}' in ''.join(told.value.__notes__)


def test_metrics_are_a_dict_and_may_hold_arrays(run_config):
    def loop(config):
        import numpy as np
        from headrace import train
        train.report(config['metrics'], more=np.arange(3), one=np.float32(1.5))
    run = lambda metrics: DataParallelTrainer(loop, train_loop_config={'metrics': metrics}, run_config=run_config()).fit()
    assert run({'a': 1}).metrics == {'a': 1, 'more': [0, 1, 2], 'one': 1.5}
    with pytest.raises(TypeError, match='report: a dict of metrics'):
        run(5)


def test_the_checkpoint_of_a_result_is_rank_0s_whoever_ends_last(run_config, tmp_path):
    def loop(config):
        import os
        from headrace import train
        if train.world_rank() == 1:
            while not os.path.exists(config['path']):
                pass
        train.report({}, checkpoint=Checkpoint.from_dict({'rank': train.world_rank()}))
        if train.world_rank() == 0:
            open(config['path'], 'w').close()
    result = DataParallelTrainer(loop, train_loop_config={'path': str(tmp_path / 'first')},
                                 scaling_config=ScalingConfig(num_workers=2), run_config=run_config()).fit()
    assert result.checkpoint.to_dict() == {'rank': 0}
    assert [c.to_dict()['rank'] for c, _ in result.best_checkpoints] == [0]
    assert len(repr(result)) < 400 and 'checkpoint_000000' in repr(result)


def test_epochs_of_a_shard_say_how_far_to_read_ahead(run_config):
    def loop():
        import re

        from headrace import train
        shard = train.get_dataset_shard()
        passes = [[i for b in shard.iter_batches(batch_size=50, shuffle='window', seed=2) for i in b['id'].tolist()]
                  for _ in shard.epochs(3)]
        read = int(re.search(r'(\d+) total', shard.stats().split('num rows')[1]).group(1))
        more = [[i for b in shard.iter_batches(batch_size=50, shuffle='window', seed=2) for i in b['id'].tolist()]
                for _ in shard.epochs(5)]  # goes on; these were not expected
        more += [[i for b in shard.iter_batches(batch_size=50, shuffle='window', seed=2) for i in b['id'].tolist()]]
        train.report(passes=passes + more, read=read, epoch=shard.epoch)
    data = hr.range(200, blocks=4)
    metrics = DataParallelTrainer(loop, datasets={'train': data}, run_config=run_config()).fit().metrics
    assert metrics['read'] == 600
    assert metrics['passes'] == [[i for b in data.iter_batches(batch_size=50, shuffle='window', seed=2, epoch=e) for i in b['id'].tolist()]
                                 for e in range(6)]


def test_every_run_leaves_a_page_in_its_folder(run_config):

    def loop(config):
        from headrace import train
        shard, valid = train.get_dataset_shard(), train.get_dataset_shard('valid')
        for epoch in shard.epochs(3):
            rows = sum(len(b['id']) for b in shard.iter_batches(batch_size=100))
            rows += sum(len(b['id']) for b in valid.iter_batches(batch_size=100, epochs=3))
            train.report(rows=rows, checkpoint=Checkpoint.from_dict({}))
            if epoch == 1 and train.get_checkpoint() is None and train.world_rank() == 0:
                raise RuntimeError('no <more>')
    result = DataParallelTrainer(
        loop, scaling_config=ScalingConfig(num_workers=2), datasets={'train': hr.range(4000, blocks=8), 'valid': hr.range(500)},
        run_config=run_config(failure_config=FailureConfig(max_failures=1), verbose=0)).fit()
    assert all(0 < w['ingest']['wait_s'] and w['ingest']['rows'] == w['rows'] and w['ingest']['delays'] for w in result.workers)
    with open(os.path.join(result.path, 'report.html'), encoding='utf-8') as f:
        tree = minidom.parseString(f.read())
    texts = lambda tag: [''.join(n.data for n in e.childNodes if n.nodeType == n.TEXT_NODE) for e in tree.getElementsByTagName(tag)]
    assert texts('h1') == ['run'] and texts('title')[0] == 'headrace: run'
    assert 'Dataset valid' in texts('p')
    assert {'Where the time went', 'Batch delays', 'Stages', 'Workers', 'Lives'} <= set(texts('h2'))
    assert 'worker 0: RuntimeError: no <more>' in texts('td') and 'rank 1' in texts('text')
    assert any(t.endswith('at work') for t in texts('text'))


def test_a_run_without_datasets_leaves_no_page(run_config):
    result = DataParallelTrainer(lambda: None, run_config=run_config()).fit()
    assert not os.path.exists(os.path.join(result.path, 'report.html'))
    assert 'ingest' not in result.workers[0]


def test_metrics_that_are_named_and_never_reported_are_told(run_config, capsys):
    def loop():
        from headrace import train
        train.report({'loss': 1, 'epoch': 0}, checkpoint=Checkpoint.from_dict({}))
    kept = CheckpointConfig(checkpoint_score_attribute='losss')
    DataParallelTrainer(loop, run_config=run_config(stop={'epcoh': 3, 'training_iteration': 9}, checkpoint_config=kept)).fit()
    told = capsys.readouterr().out
    assert "stop names 'epcoh', and no report of run had it; they had loss, epoch" in told
    assert "checkpoint_score_attribute names 'losss'" in told and 'training_iteration' not in told


def test_drop_last_in_a_loop_is_stronger_than_a_trainers_tail(run_config):
    def loop():
        from headrace import train
        shard = train.get_dataset_shard()
        train.report(dropped=[len(b['id']) for b in shard.iter_batches(batch_size=50, drop_last=True)],
                     padded=[len(b['id']) for b in shard.iter_batches(batch_size=50)])
    result = DataParallelTrainer(loop, scaling_config=ScalingConfig(num_workers=2), datasets={'train': hr.range(201)},
                                 dataset_config={'train': DatasetConfig(tail='pad')}, run_config=run_config()).fit()
    assert result.metrics == {'dropped': [50, 50], 'padded': [50, 50, 50]}


def test_slots_that_cannot_be_are_refused_at_once(run_config):
    few = ScalingConfig(num_workers=2, resources_per_worker={'CPU': 1000})
    with pytest.raises(hr.LimitError, match='CPU'):
        DataParallelTrainer(count_rows, datasets={'train': hr.range(9)}, scaling_config=few, run_config=run_config()).fit()
    many = ScalingConfig(num_workers=3)  # an equal share where there are fewer
    assert many.slots(2)['worker_cpus'] * 3 <= 2
    assert DataParallelTrainer(count_rows, datasets={'train': hr.range(90)}, scaling_config=many,
                               run_config=run_config()).fit().metrics['train'] == 30


# --- results ---

def test_results_stand_in_the_runs_folder(run_config):
    def loop():
        from headrace import train
        for i in range(5):
            train.report(i=i)
            list(train.get_dataset_shard('train').iter_batches(batch_size=10))  # so that none is replaced
    seen = []

    class Callback:
        def on_report(self, metrics):
            seen.append(metrics)

        def on_end(self, result):
            seen.append(result)
    result = DataParallelTrainer(loop, datasets={'train': hr.range(100)}, run_config=run_config(callbacks=[Callback()])).fit()
    assert result.metrics == {'i': 4} and result.checkpoint is None and result.error is None
    assert os.path.basename(result.path) == 'run' and seen[-1] is result and seen[:-1] == result.metrics_history
    with open(os.path.join(result.path, 'metrics.jsonl')) as f:
        assert [json.loads(line) for line in f] == result.metrics_history
    if pytest.importorskip('pandas'):
        assert result.metrics_dataframe['i'].tolist()[-1] == 4


@pytest.mark.parametrize('stop', [{'i': 7}, {'time_total_s': 0.3}, lambda name, metrics: name == 'run' and metrics['i'] >= 3],
                         ids=['metric', 'time', 'function'])
def test_a_run_stops_where_it_was_told_to(run_config, stop):
    def loop():
        import time

        from headrace import train
        for i in range(100000):
            train.report(i=i)
            time.sleep(0.01)
    result = DataParallelTrainer(loop, run_config=run_config(stop=stop)).fit()
    assert result.metrics['i'] < 99999 and result.error is None


def test_a_loop_that_never_reports(run_config):
    result = DataParallelTrainer(lambda: None, run_config=run_config()).fit()
    assert result.metrics == {} and result.metrics_history == [] and result.checkpoint is None


def test_of_two_loops_the_one_that_failed_first_is_told(run_config):
    def loop():
        import time

        from headrace import train
        if train.world_rank() == 1:
            raise LookupError('the cause')
        time.sleep(60)
    with pytest.raises(LookupError, match='the cause') as caught:
        DataParallelTrainer(loop, scaling_config=ScalingConfig(num_workers=2), run_config=run_config()).fit()
    assert any('worker 1' in n for n in caught.value.__notes__)


def test_a_worker_that_dies_ends_the_run(run_config, capsys):
    def loop():
        import os
        import signal
        import time

        from headrace import train
        if train.world_rank() == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)
    with pytest.raises(hr.FunctionError, match='worker 1'):
        DataParallelTrainer(loop, scaling_config=ScalingConfig(num_workers=2), run_config=run_config()).fit()


@pytest.mark.parametrize('command', [('-',), ()], ids=['python -', 'script'])
def test_loops_come_from_scripts_without_a_guard(tmp_path, command):
    import subprocess
    import sys
    text = f'''
import headrace as hr
from headrace.train import *
from headrace import train
SEEN = 3
class Model:
    def step(self, rows): return rows * SEEN
def loop(config):
    model, n = Model(), 0
    for batch in train.get_dataset_shard("train").iter_batches(batch_size=10):
        n += model.step(len(batch["id"]))
    train.report(n=n)
hr.init(memory_bytes=128 << 20)
r = DataParallelTrainer(loop, datasets={{"train": hr.range(100)}}, run_config=RunConfig(storage_path={str(tmp_path)!r})).fit()
print(r.metrics)
'''
    path = tmp_path / 'script.py'
    path.write_text(text)
    env = {**os.environ, 'PYTHONPATH': os.path.dirname(os.path.dirname(hr.__file__))}
    done = subprocess.run([sys.executable, *(command or (str(path),))], input=text if command else None, env=env,
                          capture_output=True, text=True, timeout=100)
    assert done.stdout == "{'n': 300}\n", done.stderr


def test_ctrl_c_ends_the_workers_and_comes_back(tmp_path):
    import signal
    import subprocess
    import sys
    text = f'''
import headrace as hr
from headrace import train
def loop():
    import os, time
    train.report(pid=os.getpid())
    time.sleep(1000)
class Told:
    def on_report(self, metrics): print(metrics["pid"], flush=True)
hr.init(memory_bytes=128 << 20)
try:
    train.DataParallelTrainer(loop, run_config=train.RunConfig(storage_path={str(tmp_path)!r}, callbacks=[Told()])).fit()
except KeyboardInterrupt:
    print("interrupted", hr.range(10).count())
'''
    env = {**os.environ, 'PYTHONPATH': os.path.dirname(os.path.dirname(hr.__file__))}
    child = subprocess.Popen([sys.executable, '-c', text], stdout=subprocess.PIPE, text=True, env=env)
    try:
        worker = int(child.stdout.readline())
        child.send_signal(signal.SIGINT)
        assert child.communicate(timeout=60)[0] == 'interrupted 10\n'
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)
    finally:
        child.kill()


def test_a_trainer_may_be_fitted_again(run_config):
    data = hr.from_numpy({'x': np.arange(10.0)})

    def loop():
        from headrace import train
        train.report(total=float(sum(b['x'].sum() for b in train.get_dataset_shard('train').iter_batches())))
    trainer = DataParallelTrainer(loop, datasets={'train': data}, run_config=run_config(),
                                  preprocessor=hr.preprocessors.BatchMapper(lambda b: {'x': b['x'] + 1}, batch_format='numpy'))
    assert [trainer.fit().metrics['total'] for _ in range(2)] == [55.0, 55.0]


# --- checkpoints as objects ---

def test_a_checkpoint_is_a_dict_or_a_folder(tmp_path):
    data = {'epoch': 3, 'weights': np.arange(4.0)}
    one = Checkpoint.from_dict(data)
    folder = one.to_directory(tmp_path / 'a')
    again = Checkpoint.from_directory(folder)
    assert again.to_dict()['epoch'] == 3 and again.to_dict()['weights'].tolist() == [0, 1, 2, 3]
    with one.as_directory() as made:
        assert Checkpoint(made).to_dict()['epoch'] == 3
    assert not os.path.exists(made)
    with again.as_directory() as there:
        assert there == again.path
    assert os.path.exists(there)
    (tmp_path / 'b' / 'sub').mkdir(parents=True)
    (tmp_path / 'b' / 'sub' / 'x').write_bytes(b'abc')
    assert Checkpoint(tmp_path / 'b').to_dict() == {'sub/x': b'abc'}
    assert Checkpoint(Checkpoint(tmp_path / 'b').to_directory()).to_dict() == {'sub/x': b'abc'}
    for wrong, error in ((lambda: Checkpoint(), ValueError), (lambda: Checkpoint.from_dict([1]), TypeError),
                         (lambda: Checkpoint(tmp_path / 'none'), FileNotFoundError)):
        with pytest.raises(error):
            wrong()


def test_a_worker_killed_at_a_checkpoint_leaves_nothing(run_config, tmp_path, monkeypatch):
    def loop():
        import os

        from headrace import train

        class Deadly:
            def __reduce__(self):
                os.kill(os.getpid(), 9)
        train.report(checkpoint=train.Checkpoint.from_dict({'a': 1}))
        train.report(checkpoint=train.Checkpoint.from_dict({'a': Deadly()}))
    (tmp_path / 'temporary').mkdir()
    monkeypatch.setenv('TMPDIR', str(tmp_path / 'temporary'))
    with pytest.raises(hr.FunctionError, match='SIGKILL'):
        DataParallelTrainer(loop, run_config=run_config()).fit()
    assert os.listdir(tmp_path / 'temporary') == []
    assert [n for n in os.listdir(tmp_path / 'run') if n.startswith('.staged')] == []
    assert Checkpoint.latest(tmp_path / 'run').to_dict() == {'a': 1}


def test_a_checkpoint_carries_a_preprocessor(tmp_path):
    ds = hr.from_numpy({'x': np.arange(10.0)})
    scaler = StandardScaler(['x']).fit(ds)
    for checkpoint in (Checkpoint.from_dict({}, preprocessor=scaler),
                       Checkpoint(Checkpoint.from_dict({}, preprocessor=scaler).to_directory(tmp_path / 'p'))):
        assert checkpoint.get_preprocessor().transform_batch({'x': np.array([4.5])})['x'].tolist() == [0.0]
    assert Checkpoint.from_dict({}).get_preprocessor() is None


# --- PyTorch, TensorFlow ---

@pytest.fixture(scope='module')
def line():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4096, 3)).astype('float32')
    return hr.from_numpy({'a': x[:, 0].copy(), 'b': x[:, 1].copy(), 'c': x[:, 2].copy(), 'y': x @ np.float32([1, 2, 3])}, blocks=8)


def test_a_torch_trainer_is_a_process_group(line, run_config):
    pytest.importorskip('torch')

    def loop(config):
        import os

        import torch
        import torch.distributed as group

        from headrace import train
        from headrace.train.torch import get_device, prepare_model
        torch.manual_seed(train.world_rank())
        model = prepare_model(torch.nn.Linear(3, 1))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
        shard, rows = train.get_dataset_shard('train'), 0
        for epoch in range(config['epochs']):
            for x, y in shard.to_torch(label_column='y', feature_columns=['a', 'b', 'c'], batch_size=256, shuffle='window'):
                optimizer.zero_grad()
                loss = torch.nn.functional.mse_loss(model(x), y)
                loss.backward()
                optimizer.step()
                rows += len(x)
        mine = torch.cat([p.detach().flatten() for p in model.parameters()])
        all_of = [torch.empty_like(mine) for _ in range(group.get_world_size())]
        group.all_gather(all_of, mine)
        train.report(loss=loss.item(), same=bool((all_of[0] == all_of[1]).all()), rows=rows, backend=group.get_backend(),
                     device=get_device().type, env=[os.environ[k] for k in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK')],
                     wrapped=type(model).__name__, weights=mine.tolist())
    result = train.TorchTrainer(loop, train_loop_config={'epochs': 3}, scaling_config=ScalingConfig(num_workers=2),
                                datasets={'train': line}, run_config=run_config()).fit()
    m = result.metrics
    assert m['same'] and m['rows'] == 3 * 2048 and m['backend'] == 'gloo' and m['env'] == ['0', '2', '0']
    assert m['wrapped'] == 'DistributedDataParallel' and m['loss'] < 1e-3
    np.testing.assert_allclose(m['weights'], [1, 2, 3, 0], atol=0.05)


def test_a_torch_worker_that_fails_is_told_of_and_nobody_hangs(line, run_config):
    pytest.importorskip('torch')

    def loop():
        import torch
        import torch.distributed as group

        from headrace import train
        if train.world_rank() == 1:
            raise LookupError('no more')
        group.all_reduce(torch.ones(1))
    with pytest.raises(LookupError, match='no more'):
        train.TorchTrainer(loop, scaling_config=ScalingConfig(num_workers=2), run_config=run_config()).fit()


def test_a_torch_worker_that_others_left_alone_is_told_why(run_config):
    pytest.importorskip('torch')

    def loop():
        import torch
        import torch.distributed as group

        from headrace import train
        for b in train.get_dataset_shard().iter_batches(batch_size=50, tail='uneven'):
            group.all_reduce(torch.ones(1))
    with pytest.raises(Exception) as told:
        train.TorchTrainer(loop, scaling_config=ScalingConfig(num_workers=2), datasets={'train': hr.range(101)},
                           run_config=run_config()).fit()
    assert any("were given 1, 2 batches: tail='pad'" in note for note in told.value.__notes__)


def test_a_tensorflow_trainer_has_a_strategy_of_all_workers(line, run_config):
    pytest.importorskip('tensorflow')

    def loop(config):
        import tensorflow as tf

        from headrace import train
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
        with strategy.scope():
            weights = tf.Variable(tf.zeros((3, 1)))

        @tf.function
        def step(x, y):
            def replica(x, y):
                with tf.GradientTape() as tape:
                    loss = tf.reduce_mean((tf.matmul(x, weights) - y[:, None]) ** 2)
                gradient = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, tape.gradient(loss, weights))
                weights.assign_sub(0.2 * gradient)
                return loss
            return strategy.run(replica, (x, y))
        rows = 0
        for x, y in train.get_dataset_shard('train').to_tf(label_column='y', feature_columns=['a', 'b', 'c'], batch_size=256):
            loss = step(x, y)
            rows += len(y)
        train.report(rows=rows, replicas=strategy.num_replicas_in_sync, weights=weights.numpy().flatten().tolist())
    result = train.TensorflowTrainer(loop, scaling_config=ScalingConfig(num_workers=2), datasets={'train': line},
                                     run_config=run_config()).fit()
    assert result.metrics['rows'] == 2048 and result.metrics['replicas'] == 2
    np.testing.assert_allclose(result.metrics['weights'], [1, 2, 3], atol=0.5)


def digits():
    sk = pytest.importorskip('sklearn.datasets')
    x, y = sk.load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    x, y = x[order] / 16.0, y[order]
    tables = [hr.from_numpy({**{f'p{i}': np.ascontiguousarray(a[:, i]) for i in range(64)}, 'digit': b}, blocks=5)
              for a, b in ((x[:1500], y[:1500]), (x[1500:], y[1500:]))]
    return (x, y), tables


def test_sklearn_learns_batch_by_batch(run_config):
    linear = pytest.importorskip('sklearn.linear_model')
    (x, y), (table, valid) = digits()
    result = train.SklearnTrainer(linear.SGDClassifier(random_state=0), label_column='digit', num_epochs=4, batch_size=100, seed=1,
                                  datasets={'train': table, 'valid': valid}, run_config=run_config()).fit()
    assert result.metrics['epoch'] == 3 and result.metrics['rows'] == 1500 and result.metrics['valid_score'] > 0.85
    assert [m['epoch'] for m in result.metrics_history] == [0, 1, 2, 3]
    alone = linear.SGDClassifier(random_state=0)  # the same batches by hand
    pixels = table._packing([([f'p{i}' for i in range(64)], 'pixels', 13)], 'error')
    for epoch in range(4):
        for b in pixels.iter_batches(batch_size=100, shuffle='window', seed=1, epoch=epoch):
            alone.partial_fit(b['pixels'], b['digit'], classes=np.arange(10))
    assert alone.score(x[1500:], y[1500:]) == pytest.approx(result.metrics['valid_score'])


def test_sklearn_refuses_what_cannot_learn(line, run_config):
    pytest.importorskip('sklearn')
    from sklearn.linear_model import SGDRegressor
    run = lambda **options: train.SklearnTrainer(SGDRegressor(), datasets={'train': line}, run_config=run_config(), **options).fit()
    with pytest.raises(ValueError, match='SGDRegressor learns a label'):
        run()
    with pytest.raises(hr.NotFoundError, match="'train' has no column 'z'; there are: a, b, c, y"):
        run(label_column='z')
    with pytest.raises(hr.NotFoundError, match="no column 'e'"):
        run(label_column='y', feature_columns=['a', 'e'])


def test_sklearn_regressors_and_clusters(line, run_config):
    pytest.importorskip('sklearn')
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.linear_model import SGDRegressor
    data = {'train': line, 'valid': line}
    regressor = train.SklearnTrainer(SGDRegressor(), label_column='y', feature_columns=['a', 'b', 'c'], num_epochs=2,
                                     datasets=data, run_config=run_config()).fit()
    assert regressor.metrics['valid_score'] > 0.99
    clusters = train.SklearnTrainer(MiniBatchKMeans(4, random_state=0), feature_columns=['a', 'b', 'c'],
                                    datasets=data, run_config=run_config()).fit()
    assert clusters.metrics['valid_score'] < 0 and clusters.metrics['rows'] == 4096


def test_sklearn_needs_partial_fit():
    ensemble = pytest.importorskip('sklearn.ensemble')
    with pytest.raises(ValueError, match='partial_fit'):
        train.SklearnTrainer(ensemble.RandomForestClassifier(), datasets={'train': hr.range(9)})


# --- checkpoints of runs ---

def test_a_checkpoint_of_no_run_is_there_and_says_no_row(run_config):
    def loop():
        from headrace import train
        n = sum(len(b['id']) for b in train.get_dataset_shard('train').iter_batches())
        train.report(n=n, found=train.get_checkpoint().to_dict()['x'])
    result = DataParallelTrainer(loop, datasets={'train': hr.range(100)}, resume_from_checkpoint=Checkpoint.from_dict({'x': 5}),
                                 run_config=run_config()).fit()
    assert result.metrics == {'n': 100, 'found': 5}


def test_the_best_checkpoints_are_kept_and_carry_the_preprocessor(run_config):
    def loop():
        from headrace import train
        for score in (3, 9, 1, 5):
            train.report({'score': score}, checkpoint=train.Checkpoint.from_dict({'score': score}))
    x = hr.from_numpy({'x': np.arange(10.0)})
    keep = CheckpointConfig(num_to_keep=2, checkpoint_score_attribute='score', checkpoint_score_order='max')
    result = DataParallelTrainer(loop, datasets={'train': x}, preprocessor=StandardScaler(['x']),
                                 run_config=run_config(checkpoint_config=keep)).fit()
    kept = [c.to_dict()['score'] for c, _ in result.best_checkpoints]
    assert kept[0] == 9 and 5 in kept and 1 not in kept
    assert result.checkpoint.to_dict() == {'score': 5}
    assert result.checkpoint.get_preprocessor().transform_batch({'x': np.array([4.5])})['x'].tolist() == [0.0]


def test_a_checkpoint_is_one(run_config):
    def loop():
        from headrace import train
        train.report({'x': 1}, checkpoint={'not': 'one'})
    with pytest.raises(TypeError, match='from_dict'):
        DataParallelTrainer(loop, run_config=run_config()).fit()
