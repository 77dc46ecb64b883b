# SPDX-License-Identifier: Apache-2.0
"""Experiments with workers: shared reads, failures, early stops, slots, restore, kills."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

import headrace as hr
from headrace import tune
from headrace.train import (Checkpoint, CheckpointConfig, DataParallelTrainer, DatasetConfig, FailureConfig, RunConfig, ScalingConfig,
                            get_dataset_shard, report)

pytest.importorskip('cloudpickle')
pytest.importorskip('numpy')


@pytest.fixture
def kept(tmp_path):
    """Configurations of runs below a folder of the test."""
    return lambda **options: RunConfig(**{'name': 'e', 'storage_path': str(tmp_path), **options})


def summing(config):
    """Reports the sum of the epoch's values, twice read."""
    for _ in range(2):
        total = sum(int(batch['x'].sum()) for batch in get_dataset_shard('train').iter_batches(batch_size=100))
    report(total=total, lr=config.get('lr', 0))


# --- data ---

def test_four_trials_read_parquet_once(tmp_path, kept, capfd):
    hr.range(5000).map('x = id % 7').write_parquet(str(tmp_path / 'data'), row_group_rows=500)
    data = hr.read_parquet(str(tmp_path / 'data'))
    before = data._handle.source_stats()['bytes_read']
    grid = tune.Tuner(DataParallelTrainer(summing, datasets={'train': data}),
                      param_space={'train_loop_config': {'lr': tune.grid_search([0.1, 0.2])}},
                      tune_config=tune.TuneConfig(metric='total', mode='max', num_samples=2), run_config=kept()).fit()
    assert len(grid) == 4 and grid.num_errors == 0 and grid.num_terminated == 4
    assert [r.metrics['lr'] for r in grid] == [0.1, 0.2, 0.1, 0.2]
    assert {r.metrics['total'] for r in grid} == {sum(i % 7 for i in range(5000))}
    reads = grid.source_reads['datasets/train']
    assert (reads.reads, reads.rows_read, reads.rows, reads.trials, reads.shared) == (1, 5000, 5000, 4, True)
    stored = sum(os.path.getsize(tmp_path / 'data' / n) for n in os.listdir(tmp_path / 'data'))
    # Footers are read with what stands before them, so a little may be read twice.
    assert 0 < reads.bytes_read < 2 * stored and data._handle.source_stats()['bytes_read'] - before == reads.bytes_read
    said = capfd.readouterr().out
    assert said.count('read once for all trials') == 1 and 'source datasets/train: read 1 time' in said
    assert said.count(' TERMINATED after ') == 4 and '4 trials: 4 TERMINATED' in said


def test_a_dataset_of_the_space_is_shared_and_a_function_is_called_in_each(kept, tmp_path):
    shared = hr.range(400).map('x = id')
    calls = str(tmp_path / 'calls')

    def own():
        with open(calls, 'a') as f:
            f.write('.')
        return hr.range(300).map('x = id')
    grid = tune.Tuner(DataParallelTrainer(summing, scaling_config=ScalingConfig(ingest_bytes=1 << 20, ingest_threads=1)), param_space={'datasets': {'train': tune.grid_search([shared, own])}},
                      tune_config=tune.TuneConfig(num_samples=2), run_config=kept(verbose=0)).fit()
    assert [r.metrics['total'] for r in grid] == [79800, 44850, 79800, 44850]
    of_space, of_function = grid.source_reads['param_space/0'], grid.source_reads['train: own']
    assert (of_space.reads, of_space.trials, of_space.rows_read) == (1, 2, 400)
    assert (of_function.reads, of_function.calls, of_function.rows_read, of_function.shared) == (2, 2, 600, False)
    assert open(calls).read() == '..'


def test_a_preprocessor_is_fitted_once_and_a_searched_one_per_choice(kept, capfd):
    from headrace.preprocessors import StandardScaler

    def spread(config):
        for batch in get_dataset_shard('train').iter_batches(batch_size=None):
            report(high=float(abs(batch['x']).max()))
    data = hr.range(100).map('x = id * 1.0')
    scaler = StandardScaler(['x'])
    grid = tune.Tuner(DataParallelTrainer(spread, datasets={'train': data}, preprocessor=scaler),
                      tune_config=tune.TuneConfig(num_samples=2), run_config=kept(checkpoint_config=CheckpointConfig())).fit()
    assert all(1 < r.metrics['high'] < 2 for r in grid) and grid.source_reads['datasets/train'].reads == 1
    assert capfd.readouterr().out.count('fitted once') == 1 and not hasattr(scaler, 'stats_')
    grid = tune.Tuner(DataParallelTrainer(spread, datasets={'train': data}),
                      param_space={'preprocessor': tune.grid_search([scaler, None])}, run_config=kept(verbose=0)).fit()
    assert grid[0].metrics['high'] < 2 and grid[1].metrics['high'] == 99 and grid.source_reads['datasets/train'].reads == 1


def test_what_is_told_to_stream_is_not_kept(kept):
    grid = tune.Tuner(DataParallelTrainer(summing, datasets={'train': hr.range(200).map('x = id')},
                                          dataset_config={'train': DatasetConfig(use_stream_api=True)}), run_config=kept(verbose=0)).fit()
    assert grid[0].error is None and grid.source_reads['datasets/train'].reads >= 2


LARGER_THAN_MEMORY = '''
import headrace as hr
from headrace import tune
from headrace.train import DataParallelTrainer, get_dataset_shard, report
hr.init(memory_bytes=64 << 20, num_cpus=2)

def loop(config):
    report(total=sum(int(b["data"][:, 0].sum()) for b in get_dataset_shard("train").iter_batches(batch_size=20)))

data = hr.range_tensor(500, shape=(25600,), blocks=100)  # 98 MiB
grid = tune.Tuner(DataParallelTrainer(loop, datasets={"train": data}), tune_config=tune.TuneConfig(num_samples=2)).fit()
print("RESULT", [r.metrics["total"] for r in grid], grid.source_reads["datasets/train"].reads)
'''


def test_data_larger_than_memory_is_spilled_and_shared(script, tmp_path):
    done = script(LARGER_THAN_MEMORY, HEADRACE_RESULTS=str(tmp_path / 'results'))
    assert 'RESULT [124750, 124750] 1' in done.stdout, done.stdout + done.stderr
    assert '97.7 MiB kept in the store, ' in done.stdout and ' spilled to disk' in done.stdout


# --- failures and early ends ---

def test_a_trial_that_fails_does_not_end_the_others(kept):
    def half(config):
        report(i=config['i'])
        if config['i'] == 1:
            raise KeyError('as it was')
    grid = tune.Tuner(half, param_space={'i': tune.grid_search([0, 1, 2])}, run_config=kept(verbose=0)).fit()
    assert [r.error is None for r in grid] == [True, False, True]
    assert isinstance(grid[1].error, KeyError) and 'as it was' in str(grid[1].error)
    assert grid.get_best_result('i', 'max') is grid[2] and grid[2].config == {'i': 2}
    again = tune.Tuner.restore(grid.experiment_path)
    stands = again.get_results()
    assert isinstance(stands[1].error, KeyError) and stands[2].metrics['i'] == 2
    assert len(again.fit()) == 3


def test_fail_fast_ends_all(kept):
    def fails(config):
        raise ValueError('at once')
    grid = tune.Tuner(fails, tune_config=tune.TuneConfig(num_samples=50, max_concurrent_trials=1),
                      run_config=kept(verbose=0, failure_config=FailureConfig(fail_fast=True))).fit()
    assert len(grid) == 1 and isinstance(grid.errors[0], ValueError)


def test_a_function_that_makes_data_may_fail(kept):
    def make():
        raise OSError('no such table')
    grid = tune.Tuner(DataParallelTrainer(summing, datasets={'train': make}), run_config=kept(verbose=0)).fit()
    assert isinstance(grid.errors[0], OSError) and grid[0].config == {}


def test_bad_trials_are_stopped_and_free_their_slots(kept):
    def steps(config):
        for i in range(200):
            report(loss=config['loss'])
            time.sleep(0.02)
    grid = tune.Tuner(steps, param_space={'loss': tune.grid_search([1.0, 2.0, 3.0])}, run_config=kept(verbose=0),
                      tune_config=tune.TuneConfig(metric='loss', mode='min', max_concurrent_trials=1,
                                                  scheduler=tune.ASHAScheduler(max_t=20, grace_period=2, reduction_factor=2))).fit()
    reached = [r.metrics['training_iteration'] for r in grid]
    assert 20 <= reached[0] < 200 and all(2 <= n < 20 for n in reached[1:]), reached
    assert grid.num_errors == 0 and all(t.stopped_by == 'AsyncHyperBandScheduler' for t in grid._trials)


def test_a_time_budget_ends_trials(kept):
    def endless(config):
        for i in range(10000):
            report(i=i)
            time.sleep(0.01)
    began = time.monotonic()
    grid = tune.Tuner(endless, tune_config=tune.TuneConfig(num_samples=-1, time_budget_s=3, max_concurrent_trials=1),
                      run_config=kept(verbose=0)).fit()
    assert time.monotonic() - began < 60 and len(grid) == 1 and grid[0].error is None
    assert grid._trials[0].stopped_by == 'time_budget'


def test_optuna_is_asked_for_each_trial(kept):
    pytest.importorskip('optuna')
    grid = tune.Tuner(lambda config: {'loss': (config['x'] - 1) ** 2}, param_space={'x': tune.uniform(0, 2)}, run_config=kept(verbose=0),
                      tune_config=tune.TuneConfig(metric='loss', mode='min', num_samples=3, search_alg=tune.OptunaSearch(seed=3))).fit()
    assert len(grid) == 3 and grid.num_errors == 0 and len({r.config['x'] for r in grid}) == 3
    assert grid.get_best_result().metrics['loss'] == min(r.metrics['loss'] for r in grid)


def test_what_a_function_is_given_beside_its_setting(kept):
    def loop(config, table):
        return {'y': table[config['i']]}
    with_table = tune.with_resources(tune.with_parameters(loop, table=[7, 8]), {'cpu': 0.5})
    grid = tune.Tuner(with_table, param_space={'i': tune.grid_search([0, 1])}, run_config=kept(verbose=0)).fit()
    assert [r.metrics['y'] for r in grid] == [7, 8]


def test_datasets_of_a_function_are_shards_in_it(kept):
    grid = tune.Tuner(summing, param_space={'datasets': {'train': hr.range(20).map('x = id')}, 'lr': 3}, run_config=kept(verbose=0)).fit()
    assert grid[0].metrics['total'] == 190 and grid[0].metrics['lr'] == 3 and grid.source_reads['param_space/0'].reads == 1
    grid = tune.Tuner(summing, param_space={'deep': {'data': hr.range(20)}}, run_config=kept(verbose=0)).fit()
    assert isinstance(grid.errors[0], TypeError) and "deep/data is a dataset" in str(grid.errors[0])


# --- data made beside the loop ---

def test_trials_report_while_the_data_of_another_is_made(kept, tmp_path):
    told = str(tmp_path / 'told')

    class Reports:
        def on_report(self, metrics):
            open(told, 'a').close()

    def first():
        return hr.range(10).map('x = id')

    def second():
        until = time.monotonic() + 60
        while not os.path.exists(told):
            assert time.monotonic() < until, 'the first trial reported nothing meanwhile'
            time.sleep(0.01)
        return hr.range(20).map('x = id')
    grid = tune.Tuner(DataParallelTrainer(summing), param_space={'datasets': {'train': tune.grid_search([first, second])}},
                      run_config=kept(verbose=0, callbacks=[Reports()])).fit()
    assert [r.metrics['total'] for r in grid] == [45, 190]


def test_a_function_of_data_that_fails_is_its_trials_error(kept, capfd):
    def bad():
        return hr.range(10).map_batches(lambda b: {'x': 1 // int(b['id'][0])}, batch_format='numpy')
    grid = tune.Tuner(DataParallelTrainer(summing), run_config=kept(), param_space={
        'datasets': {'train': tune.grid_search([lambda: hr.range(10).map('x = id'), bad, lambda: 1 // 0, lambda: hr.range(20).map('x = id')])}}).fit()
    assert [type(e) for e in grid.errors] == [ZeroDivisionError, ZeroDivisionError]
    assert [r.metrics.get('total') for r in grid] == [45, None, None, 190]


CTRL_C = '''
import json, os, signal, sys, threading, time
import headrace as hr
from headrace import tune
from headrace.train import DataParallelTrainer, RunConfig, report
hr.init(memory_bytes=64 << 20)

def endless():
    threading.Thread(target=interrupt, daemon=True).start()
    if sys.argv[2] == "function":
        time.sleep(1000)
    return hr.range_tensor(10**7, shape=(64,), blocks=10**5).map("data = exp(sin(data))")  # beyond any disk

def interrupt():
    time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGINT)

began = time.monotonic()
try:
    tune.Tuner(DataParallelTrainer(lambda c: report(x=1)), param_space={"datasets": {"train": tune.grid_search([lambda: hr.range(10), endless])}},
               run_config=RunConfig(name="e", storage_path=sys.argv[1], verbose=0)).fit()
except KeyboardInterrupt:
    print("INTERRUPTED", [t["status"] for t in json.load(open(sys.argv[1] + "/e/experiment.json"))["trials"]])
    print("STILL", hr.range(10).count(), time.monotonic() - began < 60)
'''


@pytest.mark.parametrize('where', ['materialise', 'function'])
def test_ctrl_c_ends_the_making_of_data(script, tmp_path, where):
    done = script(CTRL_C, str(tmp_path), where)
    assert "INTERRUPTED ['TERMINATED', 'PENDING']" in done.stdout or "INTERRUPTED ['PENDING', 'PENDING']" in done.stdout, done.stdout + done.stderr
    assert 'STILL 10 True' in done.stdout and done.returncode == 0, done.stdout + done.stderr


# --- slots ---

def test_threads_are_reserved_as_slots_are_taken(kept, capfd):
    def told(config):
        report(total=1)
    scaling = ScalingConfig(ingest_threads=2)  # all there are: one trial after the other
    grid = tune.Tuner(DataParallelTrainer(told, scaling_config=scaling), param_space={'train_loop_config': {'n': tune.grid_search([1, 2])}},
                      run_config=kept()).fit()
    assert [r.metrics['total'] for r in grid] == [1, 1]
    assert 'waits for 2 ingest threads: trials hold 2 of 2' in capfd.readouterr().out
    with pytest.raises(hr.LimitError, match='asks for 3 ingest threads'):
        DataParallelTrainer(told, scaling_config=ScalingConfig(ingest_threads=3), run_config=kept(name='too-many')).fit()
    with pytest.raises(ValueError, match='ingest_threads -1'):
        ScalingConfig(ingest_threads=-1)


def test_what_can_never_fit_is_an_error_at_once(kept):
    trainer = DataParallelTrainer(summing, scaling_config=ScalingConfig(num_workers=1, resources_per_worker={'CPU': 512}),
                                  datasets={'train': hr.range(10)})
    with pytest.raises(hr.LimitError, match='512'):
        tune.Tuner(trainer, run_config=kept(verbose=0)).fit()
    grid = tune.Tuner(DataParallelTrainer(lambda config: None), run_config=kept(verbose=0), param_space={
        'scaling_config': {'resources_per_worker': tune.grid_search([{'CPU': 512}, {'CPU': 1}])}}).fit()
    assert isinstance(grid[0].error, hr.LimitError) and grid[1].error is None  # searched: that trial's alone


ONE_CPU = '''
import headrace as hr
from headrace import tune
hr.init(memory_bytes=64 << 20, num_cpus=1)
def f(config):
    tune.report(i=config["i"])
grid = tune.Tuner(f, param_space={"i": tune.grid_search([0, 1])}).fit()
assert [r.metrics["i"] for r in grid] == [0, 1]
'''


def test_one_cpu_is_enough_and_who_waits_is_told_once(script, tmp_path):
    done = script(ONE_CPU, HEADRACE_RESULTS=str(tmp_path / 'results'))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('waits for 1 CPU: trials hold 1 of 1') == 1


# --- kills ---

LONG = '''
import os, sys, time
import headrace as hr
from headrace import tune
from headrace.train import Checkpoint, DataParallelTrainer, RunConfig, get_checkpoint, get_dataset_shard, report

def loop(config):
    before = get_checkpoint()
    done = before.to_dict()["done"] if before else []
    shard = get_dataset_shard("train")
    for epoch in shard.epochs(1):
        for batch in shard.iter_batches(batch_size=10, shuffle="window", seed=4):
            done = done + batch["id"].tolist()
            time.sleep(config["pause"])
            report(rows=len(done), checkpoint=Checkpoint.from_dict({"done": done}))
    report(done=sorted(done) == list(range(200)), order=hash(tuple(done)))

hr.init(memory_bytes=64 << 20, num_cpus=2)
trainer = DataParallelTrainer(loop, datasets={"train": hr.range(200)})
space = {"train_loop_config": {"pause": tune.grid_search([0.0, 0.25])}}
folder = sys.argv[1]
if len(sys.argv) == 2:
    tuner = tune.Tuner(trainer, param_space=space, run_config=RunConfig(name="e", storage_path=folder))
else:
    tuner = tune.Tuner.restore(os.path.join(folder, "e"), trainer, param_space=space)
grid = tuner.fit()
assert grid.num_errors == 0, grid.errors
assert all(r.metrics["done"] for r in grid), [r.metrics for r in grid]
assert len({r.metrics["order"] for r in grid}) == 1
print("READS", grid.source_reads["datasets/train"].reads, [r.metrics["training_iteration"] for r in grid],
      [[m["training_iteration"] for m in r.metrics_history] == list(range(1, 22)) for r in grid])
'''


def killed(tmp_path, how):
    """Runs LONG, and kills it when the fast trial is over and the slow one has two checkpoints. What it printed."""
    path, state = tmp_path / 'long.py', tmp_path / 'e' / 'experiment.json'
    path.write_text(LONG)
    env = {**os.environ, 'PYTHONPATH': os.pathsep.join([os.path.dirname(os.path.dirname(hr.__file__)), os.environ.get('PYTHONPATH', '')])}
    with subprocess.Popen([sys.executable, str(path), str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env=env) as driver:
        until = time.monotonic() + 90
        while time.monotonic() < until:
            trials = json.loads(state.read_text())['trials'] if state.exists() else []
            if len(trials) == 2 and trials[0]['status'] == 'TERMINATED' and len(trials[1]['checkpoints']) >= 2:
                break
            time.sleep(0.05)
        driver.send_signal(how)
        said = driver.communicate(timeout=60)[0]
    return driver.returncode, said


def restored(script, tmp_path):
    done = script(LONG, str(tmp_path), 'again')
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_killed_experiment_is_restored_at_the_row(script, tmp_path):
    code, said = killed(tmp_path, signal.SIGKILL)
    assert code == -signal.SIGKILL, said
    was = json.loads((tmp_path / 'e' / 'experiment.json').read_text())['trials']
    said = restored(script, tmp_path)
    now = json.loads((tmp_path / 'e' / 'experiment.json').read_text())['trials']
    assert was[0] == now[0]  # the one that was over was not run again
    assert '1 trials are over, 1 go on' in said and 'goes on from checkpoint_' in said
    # Each life of the driver reads the source once; the rows, their order and the reports are those of an undisturbed run.
    assert 'READS 2 [21, 21] [True, True]' in said


def test_what_is_broken_on_disk_is_told_in_words(kept, tmp_path):
    tuner = tune.Tuner(lambda config: report(a=1), run_config=kept(verbose=0))
    path = tuner.fit().experiment_path
    os.remove(next(tmp_path.glob('e/*/setting.pickle')))
    with pytest.raises(ValueError, match='no setting.pickle any more'):
        tune.Tuner.restore(path, lambda config: None).fit()
    for broken in ('{"ver', '3'):
        (tmp_path / 'e' / 'experiment.json').write_text(broken)
        with pytest.raises(ValueError, match='experiment.json is not what an experiment left'):
            tune.Tuner.restore(path, lambda config: None)


def test_ctrl_c_right_behind_a_trials_end_is_ctrl_c(kept, tmp_path, monkeypatch):
    from headrace.train.run import Run
    finish = Run.finish

    def interrupted(run):
        finish(run)
        raise KeyboardInterrupt
    monkeypatch.setattr(Run, 'finish', interrupted)
    tuner = tune.Tuner(lambda config: report(a=1), run_config=kept(verbose=0))
    with pytest.raises(KeyboardInterrupt):
        tuner.fit()
    monkeypatch.undo()
    assert json.loads((tmp_path / 'e' / 'experiment.json').read_text())['trials'][0]['status'] == 'PENDING'
    assert tune.Tuner.restore(tmp_path / 'e', lambda config: report(a=1)).fit()[0].metrics['a'] == 1


def test_ctrl_c_says_how_to_go_on(script, tmp_path):
    code, said = killed(tmp_path, signal.SIGINT)
    assert code in (1, 130, -signal.SIGINT) and 'KeyboardInterrupt' in said, said
    assert f"Tuner.restore('{tmp_path / 'e'}') goes on" in said
    trials = json.loads((tmp_path / 'e' / 'experiment.json').read_text())['trials']
    assert [t['status'] for t in trials] == ['TERMINATED', 'PENDING']
    assert 'READS 2 [21, 21] [True, True]' in restored(script, tmp_path)


def test_errors_can_be_tried_again(kept, tmp_path):
    flag = str(tmp_path / 'flag')

    def once(config):
        report(checkpoint=Checkpoint.from_dict({'n': 1}))
        if not os.path.exists(flag):
            open(flag, 'w').close()
            raise RuntimeError('the first time')
        report(from_checkpoint=tune.get_checkpoint() is not None)
    grid = tune.Tuner(once, run_config=kept(verbose=0)).fit()
    assert 'the first time' in str(grid.errors[0])
    grid = tune.Tuner.restore(grid.experiment_path, resume_errored=True).fit()
    assert grid.num_errors == 0 and grid[0].metrics['from_checkpoint']


def test_a_name_that_is_taken_gets_a_number(kept):
    for name in ('e', 'e_2'):
        grid = tune.Tuner(lambda config: {'x': 1}, run_config=kept(verbose=0)).fit()
        assert os.path.basename(grid.experiment_path) == name
