# SPDX-License-Identifier: Apache-2.0
"""Trainers, preprocessors and the ingest check, with workers that fail in every way."""

import os
import signal
import time
import xml.dom.minidom

import numpy as np
import pytest

import headrace as hr
from headrace import train
from headrace.preprocessors import BatchMapper, Chain, PreprocessorNotFittedException, StandardScaler
from headrace.train import DummyTrainer, ScalingConfig, Trainer

pytest.importorskip('cloudpickle')


def read_all(config):
    from headrace import train
    ids = [i for b in train.get_dataset_shard('train').iter_batches(batch_size=16) for i in b['id'].tolist()]
    train.report(rows=len(ids), total=sum(ids), rank=train.world_rank(), size=train.world_size())


def test_workers_share_the_rows():
    result = Trainer(read_all, scaling_config=ScalingConfig(num_workers=2), datasets={'train': hr.range(1000)}).fit()
    assert sum(w['rows'] for w in result.workers) == 1000
    assert result.metrics['size'] == 2 and result.metrics['rank'] == 0
    assert {w['end'] for w in result.workers} == {'done'}


def test_epochs_of_a_shard_differ_in_order_alone():
    def loop():
        from headrace import train
        shard = train.get_dataset_shard('train')
        seen = [[i for b in shard.iter_batches(batch_size=50, shuffle='window', seed=1, epochs=3) for i in b['id'].tolist()]
                for _ in range(3)]
        train.report(same=len({tuple(s) for s in seen}), rows=[len(set(s)) for s in seen])
    result = Trainer(loop, datasets={'train': hr.range(2000, blocks=20)}).fit()
    assert result.metrics == {'same': 3, 'rows': [2000, 2000, 2000]}


def test_a_loops_exception_comes_back_as_itself():
    def loop(config):
        raise LookupError('in the loop')
    with pytest.raises(LookupError, match='in the loop') as caught:
        Trainer(loop, datasets={'train': hr.range(10)}).fit()
    assert any('worker 0' in n for n in caught.value.__notes__)


def test_of_two_workers_one_is_killed(capsys):
    def loop():
        from headrace import train
        n = 0
        for b in train.get_dataset_shard('train').iter_batches(batch_size=10):
            n += len(b['id'])
            if train.world_rank() == 1 and n >= 50:
                os.kill(os.getpid(), signal.SIGKILL)
    result = Trainer(loop, scaling_config=ScalingConfig(num_workers=2), datasets={'train': hr.range(1000)}).fit()
    ends = {w['rank']: w for w in result.workers}
    assert ends[0]['end'] == 'done' and ends[1]['end'] == 'died' and ends[1]['exit_code'] == 137
    assert 'worker 1 died' in capsys.readouterr().out
    deadline = time.monotonic() + 60
    while hr.runtime().memory()['leased_bytes'] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert hr.runtime().memory()['leased_bytes'] == 0


def test_a_worker_that_sleeps_is_ended_when_told_to():
    def loop():
        from headrace import train
        for b in train.get_dataset_shard('train').iter_batches(batch_size=10, epochs=1):
            if train.world_rank() == 1:
                time.sleep(1000)
    # On a machine that has much else to do the other worker may seem idle too, even while it starts: more time then.
    for idle_s in (1, 4, 16, 64):
        trainer = Trainer(loop, scaling_config=ScalingConfig(num_workers=2), datasets={'train': hr.range(1000)},
                          worker_idle_s=idle_s)
        try:
            ends = {w['rank']: w for w in trainer.fit().workers}
        except hr.Error as error:
            assert 'worker_idle_s' in str(error)
            continue
        if ends[1]['rows'] == 10 and ends[0]['end'] == 'done':
            break
    assert ends[0]['end'] == 'done' and ends[1]['end'] == 'idle'
    assert ends[1]['undelivered_rows'] == 490


def test_functions_outside_a_worker_say_so():
    with pytest.raises(RuntimeError, match='training loop'):
        train.report(x=1)


def test_dummy_trainer_prints_the_lines_of_the_guide(capsys):
    ds = hr.range_tensor(100, shape=(80, 80, 4), blocks=10)
    prep = Chain(BatchMapper(lambda df: df * 2), BatchMapper(lambda df: df * 2))
    DummyTrainer(scaling_config={'num_workers': 1, 'use_gpu': False}, datasets={'train': ds}, preprocessor=prep,
                 num_epochs=2, prefetch_blocks=1, batch_size=None).fit()
    out = capsys.readouterr().out
    wanted = ['Starting dataset preprocessing', 'Preprocessed datasets in ',
              'Preprocessor Chain(preprocessors=(BatchMapper(fn=<lambda>), BatchMapper(fn=<lambda>)))',
              'Preprocessor transform stats:', 'Stage 1 ', 'Starting train loop on worker 0', 'Time to read all data ',
              'P50/P95/Max batch delay (s) ', 'Num epochs read 2', 'Num batches read 20', 'Num bytes read 39.06 MiB',
              'Mean throughput ', 'Ingest stats from rank=0:', 'Stage 1 ', 'The trainer waited ']
    at = 0
    for line in wanted:
        at = out.find(line, at)
        assert at >= 0, f'{line!r} is missing or out of order in:\n{out}'


def test_dummy_trainer_writes_the_page_of_the_check(tmp_path, capsys):
    path = tmp_path / 'report.html'
    ds = hr.range(40_000, blocks=20).map_batches(lambda b: {'x': b['id'] * 2})
    result = DummyTrainer(scaling_config={'num_workers': 2}, datasets={'train': ds}, num_epochs=3, batch_size=1000,
                          touch=True, html=path).fit()
    capsys.readouterr()
    assert not [key for key in result.metrics if key.startswith('_')]
    page = path.read_text(encoding='utf-8')
    tree = xml.dom.minidom.parseString(page)
    assert [h.firstChild.data for h in tree.getElementsByTagName('h2')] == [
        'Where the time went', 'Throughput', 'Memory against the budget', 'Batch delays', 'Stages', 'Workers']
    assert tree.getElementsByTagName('h1')[0].firstChild.data.startswith('range')
    rows = [r.getElementsByTagName('td') for r in tree.getElementsByTagName('tr')]
    workers = [[cell.firstChild.data for cell in row] for row in rows if len(row) == 6]
    assert [w[:2] for w in workers] == [['0', 'done'], ['1', 'done']]
    assert sum(int(w[2]) for w in workers) == 120_000 and sum(int(w[3]) for w in workers) == 120
    points = [p.split(',') for e in tree.getElementsByTagName('polyline') for p in e.getAttribute('points').split()]
    assert len(points) >= 4 and all(0 <= float(x) <= 640 and 0 <= float(y) <= 170 for x, y in points)
    with pytest.raises(FileNotFoundError):
        DummyTrainer(datasets={'train': ds}, html=tmp_path / 'nowhere' / 'report.html').fit()


@pytest.fixture
def table():
    rng = np.random.default_rng(2)
    return {'a': rng.normal(100, 5, 5000), 'b': rng.normal(size=5000) * 1e-3, 'c': np.full(5000, 7.0)}


def test_standard_scaler_agrees_with_scikit_learn(table):
    sk = pytest.importorskip('sklearn.preprocessing')
    table['b'][::7] = np.nan
    scaler = StandardScaler(['a', 'b', 'c'])
    got = scaler.fit_transform(hr.from_numpy(table)).take_batch(5000, nulls='nan')
    want = sk.StandardScaler().fit_transform(np.stack(list(table.values()), 1))
    for i, name in enumerate(table):
        np.testing.assert_allclose(got[name], want[:, i], rtol=1e-12, atol=1e-12)
    one = scaler.transform_batch({n: v[:5] for n, v in table.items()})
    np.testing.assert_allclose(one['a'], want[:5, 0], rtol=1e-12)


def test_the_contract_of_preprocessors(table):
    ds = hr.from_numpy(table)
    scaler, mapper = StandardScaler(['a']), BatchMapper(lambda df: df * 2)
    assert scaler.fit_status().name == 'NOT_FITTED' and mapper.fit_status().name == 'NOT_FITTABLE'
    with pytest.raises(PreprocessorNotFittedException):
        scaler.transform(ds)
    assert mapper.fit(ds) is mapper
    chain = Chain(mapper, scaler)
    assert chain.fit_status().name == 'NOT_FITTED'
    assert chain.transform_stats() is None
    chain.fit(ds)
    assert chain.fit_status().name == 'FITTED'
    np.testing.assert_allclose(scaler.stats_['mean(a)'], 2 * table['a'].mean(), rtol=1e-12)
    with pytest.warns(UserWarning, match='fitted already'):
        scaler.fit(ds)
    with pytest.raises(ValueError, match='Chain in a Chain'):
        Chain(chain)
    assert chain.transform(ds).count() == 5000 and 'Stage' in chain.transform_stats()


SEED = '''
import ray
from ray.ml.preprocessors import Chain, BatchMapper
from ray.ml.utils.check_ingest import DummyTrainer
ray.init(num_cpus=1)
dataset = ray.data.range_tensor(200, shape=(80, 80, 4), parallelism=10)
print(dataset.schema())
preprocessor = Chain(BatchMapper(lambda df: df * 2), BatchMapper(lambda df: df * 2))
trainer = DummyTrainer(scaling_config={"num_workers": 1, "use_gpu": False}, datasets={"train": dataset},
                       preprocessor=preprocessor, runtime_seconds=0.1, prefetch_blocks=1, batch_size=None)
trainer.fit()
from ray.internal.internal_api import memory_summary
print(memory_summary(stats_only=True))
'''


def test_compat_runs_the_seeds_snippets(script):
    done = script(SEED, command=('-m', 'headrace.compat'))
    assert done.returncode == 0, done.stderr
    assert 'value: tensor<int64>[80, 80, 4]' in done.stdout
    assert '--- Aggregate object store stats across all nodes ---' in done.stdout
    epochs = int(next(line for line in done.stdout.split('\n') if line.startswith('Num epochs read')).split()[-1])
    mib = float(next(line for line in done.stdout.split('\n') if line.startswith('Num bytes read')).split()[-2])
    assert mib == round(epochs * (200 * 80 * 80 * 4 * 8 + 10 * 128) / 2**20, 2)


def test_compat_of_ray_2(script):
    done = script('''
import ray
from ray.air.config import ScalingConfig
from ray.air.util.check_ingest import DummyTrainer
from ray.data.preprocessors import BatchMapper
ds = ray.data.range_tensor(100, shape=(8,), parallelism=10)
assert ds.schema().names == ['__value__'], ds.schema()
DummyTrainer(scaling_config=ScalingConfig(num_workers=2, use_gpu=False), datasets={'train': ds}, num_epochs=1,
             preprocessor=BatchMapper(lambda df: df * 2)).fit()
''', command=('-m', 'headrace.compat'))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize('line', ['from ray.tune import ExperimentAnalysis', 'import ray; ray.remote', 'import ray.rllib',
                                  'import ray; ray.data.read_csv'])
def test_compat_names_what_is_missing(script, line):
    done = script(line, command=('-m', 'headrace.compat'))
    assert done.returncode != 0
    assert 'headrace.compat has no ray.' in done.stderr


def test_a_batch_mapper_takes_a_batch_in_any_form():
    import pandas as pd
    import pyarrow as pa
    mapper = BatchMapper(lambda frame: frame * 2)  # of a DataFrame
    assert mapper.transform_batch({'x': np.arange(3)})['x'].tolist() == [0, 2, 4]
    assert mapper.transform_batch(pa.table({'x': [1, 2]})).to_pydict() == {'x': [2, 4]}
    frame = pd.DataFrame({'x': [1.5]}, index=[7])
    pd.testing.assert_frame_equal(mapper.transform_batch(frame), frame * 2)
    arrays = BatchMapper(lambda b: {'x': np.sqrt(b['x'])}, batch_format='numpy')
    assert arrays.transform_batch(pd.DataFrame({'x': [4.0]}))['x'].tolist() == [2.0]
