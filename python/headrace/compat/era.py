# SPDX-License-Identifier: Apache-2.0
"""What the names of the table are: headrace's own with the parameters that scripts of the time pass. What concerned a cluster
of the time (CPUs, file systems, metadata providers) is accepted and has nothing to do here."""

import headrace as hr
from headrace import train as _train
from headrace.dataset import Dataset as _Dataset
from headrace.preprocessors import (BatchMapper, Chain, Preprocessor, PreprocessorNotFittedException,  # noqa: F401
                                    StandardScaler)
from headrace.train import ScalingConfig, get_dataset_shard, world_rank, world_size  # noqa: F401

_COLUMNS = {'seed': 'value', 'air': '__value__', None: 'data'}
_INDEX_BYTES = 128  # what pandas counted for the index of a block
_era = None


def enter(era):
    """The first era that a script imports from is its own."""
    global _era
    _era = _era or era


# --- ray ---

def init(*args, num_cpus=None, object_store_memory=None, **ignored):
    """num_cpus reserved CPUs for tasks: ingest needs none here. object_store_memory is the memory budget."""
    if hr._runtime._current is not None and hr._runtime._current.is_open:
        raise RuntimeError('ray.init was called twice without ray.shutdown between')
    hr.init(memory_bytes=int(object_store_memory or 0))


def shutdown():
    hr.shutdown()


def is_initialized():
    return hr._runtime._current is not None and hr._runtime._current.is_open


def identity(value):
    return value


def memory_summary(address=None, stats_only=False, **ignored):
    return hr.memory_summary(stats_only=stats_only)


# --- ray.data ---

class Dataset(_Dataset):
    """A dataset with the parameters of the time."""

    def _with(self, handle, note=None):
        return Dataset(handle, self._notes + ((note,) if note else ()))

    def map_batches(self, fn, *, batch_size=None, batch_format='native', compute=None, **options):
        form = 'pandas' if batch_format in ('native', 'default') else batch_format
        known = ('fn_args', 'fn_kwargs', 'fn_constructor_args', 'fn_constructor_kwargs', 'concurrency')
        return super().map_batches(fn, batch_size=batch_size, batch_format=form,
                                   **{k: v for k, v in options.items() if k in known})

    def iter_batches(self, *, batch_size=None, batch_format='native', prefetch_blocks=0, **options):
        form = 'pandas' if batch_format in ('native', 'default') else batch_format
        return super().iter_batches(batch_size=batch_size, batch_format=form, prefetch_blocks=prefetch_blocks, **options)

    def repartition(self, num_blocks, *, shuffle=False):
        return super().repartition(num_blocks)

    def __getattr__(self, name):
        if name.startswith('_'):
            raise AttributeError(name)
        from . import MissingName, names
        raise MissingName(names.missing(f'ray.data.Dataset.{name}'))


def _of(dataset):
    return Dataset(dataset._handle, dataset._notes)


def range(n, *, parallelism=-1):
    made = _of(hr.range(n, blocks=_blocks(parallelism)))
    return made.rename_columns({'id': 'value'}) if _era else made


def range_table(n, *, parallelism=-1):
    return _of(hr.range(n, blocks=_blocks(parallelism))).rename_columns({'id': 'value'})


def range_tensor(n, *, shape=(1,), parallelism=-1):
    return _of(hr.range_tensor(n, shape=shape, blocks=_blocks(parallelism))).rename_columns({'data': _COLUMNS[_era]})


def from_items(items, *, parallelism=-1):
    made = _of(hr.from_items(items))
    return made.rename_columns({'item': 'value'}) if made.columns() == ['item'] and _era else made


def from_numpy(arrays):
    return _of(hr.from_numpy(arrays)).rename_columns({'data': _COLUMNS[_era]})


def from_pandas(frames):
    return _of(hr.from_pandas(frames))


def from_arrow(tables):
    return _of(hr.from_arrow(tables))


def read_parquet(paths, *, columns=None, parallelism=-1, **ignored):
    return _of(hr.read_parquet(paths, columns=columns))


read_parquet_bulk = read_parquet


def _blocks(parallelism):
    return 0 if parallelism is None or parallelism < 0 else parallelism


# --- trainers ---

class RunConfig:
    """Accepted: what it says of Tune's folders and callbacks has nothing to do here."""

    def __init__(self, **options):
        self.__dict__.update(options)


def session_report(metrics, *, checkpoint=None):
    _train.report(metrics)


def train_report(metrics=None, /, checkpoint=None, **more):
    _train.report(metrics, **more)


class DataParallelTrainer(_train.Trainer):
    def __init__(self, train_loop_per_worker, *, train_loop_config=None, scaling_config=None, datasets=None,
                 preprocessor=None, run_config=None, **ignored):
        super().__init__(train_loop_per_worker, train_loop_config=train_loop_config, scaling_config=scaling_config,
                         datasets=datasets, preprocessor=preprocessor, run_config=run_config)


class SeedDummyTrainer(_train.DummyTrainer):
    """DummyTrainer of ray.ml: so many seconds, whole epochs; batches are blocks unless batch_size is given."""
    _keys = ('bytes_read', 'num_batches', 'num_epochs')
    _index_bytes = _INDEX_BYTES

    def __init__(self, *, scaling_config=None, runtime_seconds=30, prefetch_blocks=1, batch_size=None, datasets=None,
                 preprocessor=None, run_config=None, **ignored):
        super().__init__(scaling_config=scaling_config, runtime_seconds=runtime_seconds, prefetch_blocks=prefetch_blocks,
                         batch_size=batch_size, datasets=datasets, preprocessor=preprocessor, run_config=run_config)


class AirDummyTrainer(_train.DummyTrainer):
    """DummyTrainer of ray.air: so many epochs, batches of 4,096 rows."""
    _index_bytes = _INDEX_BYTES

    def __init__(self, *, scaling_config=None, num_epochs=1, prefetch_blocks=1, batch_size=4096, datasets=None,
                 preprocessor=None, run_config=None, **ignored):
        super().__init__(scaling_config=scaling_config, num_epochs=num_epochs, prefetch_blocks=prefetch_blocks,
                         batch_size=batch_size, datasets=datasets, preprocessor=preprocessor, run_config=run_config)
