# SPDX-License-Identifier: Apache-2.0
"""The guide's own programs for trials, as they were written for Ray, smaller where a test needs speed; and ray.tune's names."""

import pytest

pytest.importorskip('cloudpickle')
pytest.importorskip('pandas')

SHARED = '''
import ray
from ray.ml.utils.check_ingest import DummyTrainer
from ray.tune.tuner import Tuner, TuneConfig

ray.init(num_cpus=CPUS)
dataset = ray.data.range_tensor(50, shape=(80, 80, 4), parallelism=10)
trainer = DummyTrainer(datasets={"train": dataset}, runtime_seconds=0.1)
tuner = Tuner(
    trainer,
    tune_config=TuneConfig(num_samples=4),
)
results = tuner.fit()
print("RESULT", len(results), results.num_errors, {k: (v.reads, v.trials) for k, v in results.source_reads.items()})
ray.shutdown()
'''

INDEPENDENT = '''
import ray
from ray import tune
from ray.ml.utils.check_ingest import DummyTrainer
from ray.tune.tuner import Tuner, TuneConfig

ray.init(num_cpus=CPUS)


def make_ds_1():
    return ray.data.range_tensor(50, shape=(80, 80, 4), parallelism=10)


def make_ds_2():
    return ray.data.range_tensor(5, shape=(80, 80, 4), parallelism=5)


trainer = DummyTrainer(datasets={}, runtime_seconds=0.1)
tuner = Tuner(
    trainer,
    param_space={"datasets": {"train": tune.grid_search([make_ds_1, make_ds_2])}},
    tune_config=TuneConfig(num_samples=2),
)
results = tuner.fit()
print("RESULT", len(results), results.num_errors, {k: (v.reads, v.trials, v.rows) for k, v in results.source_reads.items()})
ray.shutdown()
'''


def run(script, text, tmp_path, cpus):
    done = script(text.replace('CPUS', str(cpus)), command=('-m', 'headrace.compat'), HEADRACE_RESULTS=str(tmp_path / 'results'))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize('cpus', [5, 2, 1])
def test_four_trials_share_one_read(script, tmp_path, cpus):
    said = run(script, SHARED, tmp_path, cpus)
    assert "RESULT 4 0 {'datasets/train': (1, 4)}" in said
    assert said.count('Starting train loop on worker 0') == 4
    assert said.count('waits for 1 CPU') == (0 if cpus == 5 else 1)


@pytest.mark.parametrize('cpus', [5, 1])
def test_each_trial_makes_its_own_dataset(script, tmp_path, cpus):
    said = run(script, INDEPENDENT, tmp_path, cpus)
    assert "RESULT 4 0 {'train: make_ds_1': (2, 2, 100), 'train: make_ds_2': (2, 2, 10)}" in said


CHECK = '''
import ray
from ray.ml.preprocessors import Chain, BatchMapper
from ray.ml.utils.check_ingest import DummyTrainer

dataset = ray.data.range_tensor(500, shape=(80, 80, 4), parallelism=10)
preprocessor = Chain(BatchMapper(lambda df: df * 2), BatchMapper(lambda df: df * 2))
ray.init(num_cpus=CPUS, ignore_reinit_error=True)
trainer = DummyTrainer(
    scaling_config={"num_workers": 1, "use_gpu": False},
    datasets={"train": dataset},
    preprocessor=preprocessor,
    runtime_seconds=0.1,
    prefetch_blocks=1,
    batch_size=None,
)
trainer.fit()
'''


def test_the_ingest_check_runs(script, tmp_path):
    said = run(script, CHECK, tmp_path, 1)
    assert 'Preprocessed datasets in' in said and 'Mean throughput' in said


FUNCTION = '''
from ray import air, tune
from ray.air import session
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import BasicVariantGenerator


def objective(config):
    session.report({"score": config["a"] * 2})


tuner = tune.Tuner(
    objective,
    param_space={"a": tune.grid_search([1, 3])},
    tune_config=tune.TuneConfig(metric="score", mode="max", scheduler=ASHAScheduler(), search_alg=BasicVariantGenerator()),
    run_config=air.RunConfig(name="mine", verbose=0),
)
results = tuner.fit()
print("BEST", results.get_best_result().config, results.get_best_result().metrics["score"])
print("AGAIN", len(tune.Tuner.restore(results.experiment_path).get_results()))
try:
    tune.run
except AttributeError as e:
    print(e)
'''


def test_functions_and_names_of_ray_tune(script, tmp_path):
    said = run(script, FUNCTION, tmp_path, 2)
    assert "BEST {'a': 3} 6" in said and 'AGAIN 2' in said and 'no ray.tune.run: Tuner(trainable' in said
