# SPDX-License-Identifier: Apache-2.0
"""Scripts written for Ray AIR run unedited; what is missing says so, and what to use."""

import re
import sys

import pytest

import headrace as hr

pytest.importorskip('pandas')
pytest.importorskip('cloudpickle')

# The guide's two snippets, as they stand in the documentation of the time; ROWS is 50,000 there.
SEED = '''
import ray
from ray.ml.preprocessors import Chain, BatchMapper
from ray.ml.utils.check_ingest import DummyTrainer

dataset = ray.data.range_tensor(ROWS, shape=(80, 80, 4), parallelism=100)

preprocessor = Chain(BatchMapper(lambda df: df * 2), BatchMapper(lambda df: df * 2))

trainer = DummyTrainer(
    scaling_config={"num_workers": 1, "use_gpu": False},
    datasets={"train": dataset},
    preprocessor=preprocessor,
    runtime_seconds=1,  # Number of seconds to run the train loop.
    prefetch_blocks=1,  # Number of blocks to prefetch when reading data.
    batch_size=None,  # Use whole blocks as batches.
)
trainer.fit()
'''

AIR = '''
import ray
from ray.air.config import ScalingConfig
from ray.air.util.check_ingest import DummyTrainer
from ray.data.preprocessors import Chain, BatchMapper

ray.init(num_cpus=1)
dataset = ray.data.range_tensor(ROWS, shape=(80, 80, 4), parallelism=100)
preprocessor = Chain(BatchMapper(lambda df: df * 2), BatchMapper(lambda df: df * 2))
trainer = DummyTrainer(
    scaling_config=ScalingConfig(num_workers=1, use_gpu=False),
    datasets={"train": dataset},
    preprocessor=preprocessor,
    num_epochs=2,
    prefetch_blocks=1,
    batch_size=None,
)
trainer.fit()
print(ray._private.internal_api.memory_summary(stats_only=True))
ray.shutdown()
'''

NUMBER = r'[0-9.e+-]+'
LINES = [
    r'Starting dataset preprocessing',
    rf'Preprocessed datasets in {NUMBER} seconds',
    r'Preprocessor Chain\(preprocessors=\(BatchMapper\(fn=<lambda>\), BatchMapper\(fn=<lambda>\)\)\)',
    r'Preprocessor transform stats:',
    r'',
    r'Stage 1 .*',
    r'Starting train loop on worker 0',
    rf'Time to read all data {NUMBER} seconds',
    rf'P50/P95/Max batch delay \(s\) {NUMBER} {NUMBER} {NUMBER}',
    r'Num epochs read (\d+)',
    r'Num batches read (\d+)',
    rf'Num bytes read ({NUMBER}) MiB',
    rf'Mean throughput {NUMBER} MiB/s',
    r'Ingest stats from rank=0:',
    r'',
    r'Stage 1 .*: \d+/\d+ blocks executed.*',
    r'\* Remote wall time: .* min, .* max, .* mean, .* total',
    r'\* Remote cpu time: .* min, .* max, .* mean, .* total',
    r'\* Output num rows: \d+ min, \d+ max, \d+ mean, \d+ total',
    r'\* Output size bytes: \d+ min, \d+ max, \d+ mean, \d+ total',
    r'\* Tasks per node: .*; 1 nodes used',
]


@pytest.fixture
def ray_script(script):
    def run(text, *args, rows=200):
        return script(text.replace('ROWS', str(rows)), *args, command=('-m', 'headrace.compat'))
    return run


def matched(out):
    """The numbers of epochs, batches and MiB, when the lines of the guide stand there in their order."""
    lines, at, found = out.splitlines(), 0, []
    for pattern in LINES:
        while at < len(lines) and not re.fullmatch(pattern, lines[at]):
            at += 1
        assert at < len(lines), f'no line like {pattern!r} where it belongs in:\n{out}'
        found += re.fullmatch(pattern, lines[at]).groups()
        at += 1
    return int(found[0]), int(found[1]), float(found[2])


def test_the_guides_snippets_run_unmodified(ray_script):
    done = ray_script(SEED)
    assert done.returncode == 0, done.stderr
    epochs, batches, mib = matched(done.stdout)
    assert epochs >= 1 and batches == 100 * epochs
    assert mib == round(100 * epochs * (2 * 80 * 80 * 4 * 8 + 128) / 2**20, 2)  # pandas counted its index, 128 bytes


def test_the_guides_snippets_in_the_next_era(ray_script):
    done = ray_script(AIR)
    assert done.returncode == 0, done.stderr
    assert matched(done.stdout)[:2] == (2, 200)
    assert '--- Aggregate object store stats across all nodes ---\nPlasma memory usage' in done.stdout


@pytest.mark.parametrize('module, epochs', [('ray.air.util.check_ingest', ['-e', '2', '-b', '4'])])
def test_the_check_runs_as_a_module(capfd, module, epochs):
    from headrace import compat
    try:
        assert compat.run(['-m', module, *epochs, '--rows', '200']) == 0
    finally:
        sys.meta_path[:] = [f for f in sys.meta_path if type(f).__module__ != 'headrace.compat']
    out = capfd.readouterr().out
    assert matched(out)[:2] == (2, 200)
    assert 'Memory stats at end of ingest:\n--- Aggregate object store stats' in out


def test_functions_of_both_snippets_run_in_c(ray_script):
    done = ray_script(SEED + 'print(preprocessor.transform(dataset).explain())\n', rows=100)
    assert done.stdout.count('<lambda>: traced, runs in C: value = value * 2') == 2, done.stdout


ERAS = [
    ('from ray.ml.utils.check_ingest import DummyTrainer', 'value', 'bytes_read num_batches num_epochs', (30, None)),
    ('from ray.ml.util.check_ingest import DummyTrainer', 'value', 'bytes_read num_batches num_epochs', (30, None)),
    ('from ray.air.util.check_ingest import DummyTrainer', '__value__', 'bytes_read batches_read epochs_read', (None, 4096)),
]


@pytest.mark.parametrize('line, column, keys, defaults', ERAS, ids=['seed', 'seed, as the guide says', '2.0'])
def test_the_era_is_that_of_the_imports_wherever_they_stand(ray_script, line, column, keys, defaults):
    done = ray_script(f'''
import ray
data = ray.data.range_tensor(10, shape=(2,), parallelism=3)
print(data.columns(), data.num_blocks(), [b.shape for b in data.iter_batches(batch_size=5)])
from ray import train
{line}
t = DummyTrainer(datasets={{"train": data}})
print(t.runtime_seconds, t.batch_size, t.prefetch_blocks, *t._keys)
''')
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"['{column}'] 4 [(5, 1), (5, 1)]", f'{defaults[0]} {defaults[1]} 1 {keys}']


def test_ray_is_started_and_ended(ray_script):
    done = ray_script('''
import ray
assert not ray.is_initialized()
ray.init(num_cpus=5, dashboard_host="0.0.0.0", object_store_memory=200 * 2**20)
assert ray.is_initialized()
ray.init(ignore_reinit_error=True)
try:
    ray.init()
except RuntimeError as e:
    print(e)
ray.shutdown()
assert not ray.is_initialized()
ray.init(num_cpus=2)
print(ray.data.range(10, parallelism=2).count(), ray.__version__)
''')
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        'ray.init was called twice: call ray.shutdown between, or pass ignore_reinit_error=True', '10 2.0.0']


def test_a_training_loop_runs_in_workers(ray_script):
    done = ray_script('''
import ray
from ray import train
from ray.air import session
from ray.air.config import ScalingConfig
from ray.train.data_parallel_trainer import DataParallelTrainer


def loop(config):
    rows = 0
    for epoch in range(2):
        for batch in session.get_dataset_shard("train").iter_batches(batch_size=4):
            assert list(batch.columns) == ["__value__"]
            rows += len(batch)
    assert session.get_dataset_shard("valid") is None  # the trainer was given none
    session.report({"rows": rows * config["times"], "world": session.get_world_size(), "rank": train.world_rank()})


result = DataParallelTrainer(
    loop, train_loop_config={"times": 10},
    scaling_config=ScalingConfig(num_workers=2, _max_cpu_fraction_per_node=0.8),
    datasets={"train": ray.data.range_tensor(40, shape=(3,), parallelism=4)},
).fit()
print(result.metrics)
''')
    assert done.returncode == 0, done.stderr
    assert "{'rows': 400, 'world': 2, 'rank': 0}" in done.stdout


def test_a_torch_loop_of_the_time_runs_in_workers(ray_script):
    pytest.importorskip('torch')
    done = ray_script('''
import ray
import torch
from ray.air import Checkpoint, session
from ray.air.config import DatasetConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer, prepare_model


def loop(config):
    model = prepare_model(torch.nn.Linear(1, 1))
    rows = 0
    for features, labels in session.get_dataset_shard("train").to_torch(
            label_column="y", feature_columns=["x"], label_column_dtype=torch.float, feature_column_dtypes=torch.float, batch_size=5):
        torch.nn.functional.mse_loss(model(features), labels).backward()
        rows += len(labels)
    session.report({"rows": rows, "world": session.get_world_size()}, checkpoint=Checkpoint.from_dict({"rows": rows}))


data = ray.data.from_items([{"x": float(i), "y": 2.0 * i} for i in range(40)])
result = TorchTrainer(loop, train_loop_config={}, scaling_config=ScalingConfig(num_workers=2), run_config=RunConfig(name="r"),
                      datasets={"train": data}, dataset_config={"train": DatasetConfig(use_stream_api=True)}).fit()
print(result.metrics, result.checkpoint.to_dict())
pipe = data.repeat(2)
print([sum(len(b) for b in epoch.iter_batches(batch_size=8)) for epoch in pipe.iter_epochs()])
''')
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["{'rows': 20, 'world': 2} {'rows': 20}", '[40, 40]']


def test_data_of_the_time(ray_script, tmp_path):
    hr.from_numpy({'x': [1.0, 2.0, 3.0], 'y': [1, 2, 3]}).write_parquet(tmp_path / 'p')
    done = ray_script('''
import sys
import numpy as np, pandas as pd, pyarrow as pa
import ray
from ray.ml.preprocessors import StandardScaler
print(ray.data.range(4, parallelism=2).columns(), ray.data.range_table(4).columns())
print(ray.data.from_items([{"a": 1}, {"a": 2}]).take())
print(ray.data.from_pandas(pd.DataFrame({"a": [1, 2]})).count(), ray.data.from_arrow(pa.table({"a": [1, 2, 3]})).count())
print(ray.data.from_numpy(np.ones((4, 2))).columns())
table = ray.data.read_parquet(sys.argv[1], parallelism=10)
print(table.map_batches(lambda df: df[df.x > 1], batch_format="pandas").to_pandas().y.tolist())
scaler = StandardScaler(columns=["x"])
print(scaler.fit_transform(table).to_pandas().x.round(3).tolist())
''', tmp_path / 'p')
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["['value'] ['value']", "[{'a': 1}, {'a': 2}]", '2 3', "['value']", '[2, 3]',
                                        '[-1.225, 0.0, 1.225]']


MISSING = [
    ('from ray.data import read_csv', 'read_parquet'),
    ('import ray; ray.data.read_json("x")', 'read_parquet'), ('import ray; ray.remote(print)', 'Ray itself'),
    ('from ray.ml.preprocessors import MinMaxScaler', 'BatchMapper, Chain and StandardScaler'),
    ('from ray.air.util.check_ingest import make_local_dataset_iterator', 'DummyTrainer'),
    ('import ray; ray.data.range(9).window().unknown_name()', 'pipeline.py'), ('import ray.serve', 'names.py'),
]


@pytest.mark.parametrize('text, hint', MISSING, ids=[text for text, _ in MISSING])
def test_an_unknown_name_says_what_is_missing_and_what_to_use(ray_script, text, hint):
    done = ray_script(text)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert 'headrace.compat has no ray.' in last and hint in last


def test_probing_for_names_is_answered(ray_script):
    done = ray_script('''
import ray
print(hasattr(ray, "tune"), hasattr(ray.data, "read_csv"), hasattr(ray.data.range(3), "sort"), hasattr(ray, "init"))
try:
    import ray.rllib
except ImportError as e:
    print("no", e.name)
''')
    assert done.stdout.splitlines() == ['True False False True', 'no ray.rllib']


def test_the_script_sees_its_arguments_and_its_folder(ray_script, tmp_path):
    (tmp_path / 'beside_it.py').write_text('VALUE = 7')
    done = ray_script('import sys, beside_it\nprint(__name__, sys.argv[1:], beside_it.VALUE)\nsys.exit(3)', '-e', '5')
    assert (done.returncode, done.stdout) == (3, "__main__ ['-e', '5'] 7\n")
