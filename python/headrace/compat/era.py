# SPDX-License-Identifier: Apache-2.0
"""What the names of the table are: headrace's own with the parameters that scripts of the time pass. What concerned a cluster
of the time (CPUs, file systems, metadata providers) is accepted and has nothing to do here."""

import headrace as hr
from headrace import pipeline as _pipeline
from headrace import train as _train
from headrace._feeds import Feeds as _Feeds
from headrace.dataset import Dataset as _Dataset
from headrace import preprocessors as _preprocessors
from headrace.train.torch import TorchConfig as _TorchConfig, get_device, prepare_model  # noqa: F401
from headrace.preprocessors import BatchMapper, Chain, Preprocessor, PreprocessorNotFittedException  # noqa: F401
from headrace.train import (Checkpoint, CheckpointConfig, DatasetConfig, FailureConfig, Result, get_checkpoint,  # noqa: F401
                            world_rank, world_size)
from headrace import tune as _tune
from headrace.tune import (ASHAScheduler, AsyncHyperBandScheduler, BasicVariantGenerator, ConcurrencyLimiter,  # noqa: F401
                           FIFOScheduler, MedianStoppingRule, OptunaSearch, ResultGrid, Searcher, TrialScheduler, TuneError,
                           choice, grid_search, loguniform, quniform, randint, randn, sample_from, uniform, with_resources)

_COLUMNS = {'seed': 'value', 'air': '__value__', None: 'data'}
_INDEX_BYTES = 128  # what pandas counted for the index of a block
_era = None


def enter(era):
    """ray.ml tells its era for certain; ray.train was there in both."""
    global _era
    if era == 'seed' or _era is None:
        _era = era


def version():
    return {'seed': '1.13.0', 'air': '2.0.0', None: '2.0.0'}[_era]


# --- ray ---

def init(*args, num_cpus=None, num_gpus=None, object_store_memory=None, ignore_reinit_error=False, **ignored):
    """num_cpus: slots that trials share; ingest needs none of them. object_store_memory is the memory budget."""
    if is_initialized():
        if ignore_reinit_error:
            return
        raise RuntimeError('ray.init was called twice: call ray.shutdown between, or pass ignore_reinit_error=True')
    hr.init(memory_bytes=int(object_store_memory or 0), num_cpus=int(num_cpus or 0), num_gpus=int(num_gpus or 0))


def shutdown():
    hr.shutdown()


def is_initialized():
    return hr._runtime._current is not None and hr._runtime._current.is_open


def identity(value):
    return value


def memory_summary(address=None, stats_only=False, **ignored):
    return hr.memory_summary(stats_only=stats_only)


def _missing(name):
    from . import MissingName, names
    return AttributeError(name) if name.rpartition('.')[2].startswith('_') else MissingName(names.missing(name))


# --- ray.data ---

class _Native:
    """Batches are frames and blocks, unless something else is asked for."""

    def iter_batches(self, *, batch_size=None, batch_format='native', prefetch_blocks=0, **options):
        form = 'pandas' if batch_format in ('native', 'default') else batch_format
        return super().iter_batches(batch_size=batch_size, batch_format=form, prefetch_blocks=prefetch_blocks, **options)


class Epoch(_Native, _pipeline.Epoch):
    pass


class DatasetPipeline(_Native, _pipeline.DatasetPipeline):
    """Windows and repeats with the parameters of the time."""
    _epoch = Epoch

    def __getattr__(self, name):
        raise _missing(f'ray.data.DatasetPipeline.{name}')


class Dataset(_Native, _Dataset):
    """A dataset with the parameters of the time."""

    def _with(self, handle, note=None):
        return Dataset(handle, self._notes + ((note,) if note else ()))

    def map_batches(self, fn, *, batch_size=None, batch_format='native', compute=None, **options):
        form = 'pandas' if batch_format in ('native', 'default') else batch_format
        known = ('fn_args', 'fn_kwargs', 'fn_constructor_args', 'fn_constructor_kwargs', 'concurrency')
        return super().map_batches(fn, batch_size=batch_size, batch_format=form,
                                   **{k: v for k, v in options.items() if k in known})

    def window(self, *, blocks_per_window=None, bytes_per_window=None):
        return DatasetPipeline(self, windows=_pipeline.windows_of(self, blocks_per_window, bytes_per_window))

    def repeat(self, times=None):
        return DatasetPipeline(self, times=_pipeline.times_of(times))

    def repartition(self, num_blocks, *, shuffle=False):
        return super().repartition(num_blocks)

    def randomize_block_order(self, *, seed=None):
        return super().randomize_block_order(seed=seed or 0)

    def random_sample(self, fraction, *, seed=None):
        return super().random_sample(fraction, seed=seed or 0)

    def train_test_split(self, test_size, *, shuffle=False, seed=None):
        return super().train_test_split(test_size, shuffle=shuffle, seed=seed or 0)

    def random_shuffle(self, *, seed=None, num_blocks=None):
        return super().random_shuffle(seed=seed or 0, num_blocks=num_blocks)

    def to_pandas(self, limit=100_000):
        return super().to_pandas(limit)

    def __getattr__(self, name):
        raise _missing(f'ray.data.Dataset.{name}')


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


class StandardScaler(_preprocessors.StandardScaler):
    def __init__(self, columns, ddof=0):
        if ddof != 0:
            raise ValueError(f'StandardScaler(ddof={ddof}): headrace divides by the number of rows (ddof 0)')
        super().__init__(columns)


# --- trainers ---

class ScalingConfig(_train.ScalingConfig):
    """Its share of CPUs a node is accepted: ingest never waits for one."""

    def __init__(self, trainer_resources=None, num_workers=None, use_gpu=False, resources_per_worker=None,
                 placement_strategy='PACK', _max_cpu_fraction_per_node=None):
        super().__init__(num_workers=1 if num_workers is None else num_workers, use_gpu=use_gpu,
                         resources_per_worker=resources_per_worker, trainer_resources=trainer_resources,
                         placement_strategy=placement_strategy)


class RunConfig(_train.RunConfig):
    """Where results go and what becomes of failures. Tune's callbacks and syncing are accepted and have nothing to do here."""

    def __init__(self, name=None, local_dir=None, stop=None, callbacks=None, failure=None, failure_config=None,
                 sync_config=None, checkpoint_config=None, verbose=1, storage_path=None, **ignored):
        super().__init__(name=name, storage_path=storage_path or local_dir, stop=stop, verbose=1 if verbose else 0,
                         failure_config=failure_config or failure, checkpoint_config=checkpoint_config)


def session_report(metrics, *, checkpoint=None):
    _train.report(metrics, checkpoint=checkpoint)


def train_report(metrics=None, /, checkpoint=None, **more):
    _train.report(metrics, checkpoint=checkpoint, **more)


def save_checkpoint(**data):
    _train.report(checkpoint=_train.Checkpoint.from_dict(data))


def load_checkpoint():
    checkpoint = _train.get_checkpoint()
    return None if checkpoint is None else checkpoint.to_dict()


class DatasetShard(_Feeds):
    """A worker's part of a dataset: frames, unless another form is asked for."""

    def __init__(self, shard):
        self._shard = shard

    def _begin(self, form, batch_size, order):
        return self._shard._begin(form, batch_size, order)

    def _schema(self, batch_size, order):
        return self._shard._schema(batch_size, order)

    def iter_batches(self, *, prefetch_blocks=0, batch_size=None, batch_format='native', **options):
        form = 'pandas' if batch_format in ('native', 'default') else batch_format
        rows = 256 if batch_size is None and _era == 'air' else batch_size
        return super().iter_batches(batch_size=rows, batch_format=form, prefetch_blocks=prefetch_blocks, **options)

    def stats(self):
        return self._shard.stats()

    def __getattr__(self, name):
        raise _missing(f'ray.data.Dataset.{name}')


def get_dataset_shard(dataset_name=None):
    try:
        return DatasetShard(_train.get_dataset_shard(dataset_name or 'train'))
    except hr.NotFoundError:
        return None  # as Ray does


class _Carried:
    """A training loop on its way to a worker, where `import ray` must mean the same before the loop is unpickled."""

    def __init__(self, loop):
        self.loop = loop

    def __call__(self, config=None):
        raise RuntimeError('this belongs into a worker')

    def __reduce__(self):
        from headrace import _function
        return _arrived, (_function.pickled(self.loop, 'the training loop'), _era)


def _arrived(pickled, era):
    import pickle
    from . import install
    install()
    enter(era)
    return pickle.loads(pickled)


class _Loops:
    """A trainer whose loop is written for Ray."""

    def __init__(self, train_loop_per_worker, *, tensorflow_config=None, backend_config=None, **options):
        super().__init__(_Carried(train_loop_per_worker), **options)


class DataParallelTrainer(_Loops, _train.DataParallelTrainer):
    pass


class TorchTrainer(_Loops, _train.TorchTrainer):
    pass


class TensorflowTrainer(_Loops, _train.TensorflowTrainer):
    pass


def TorchConfig(backend=None, init_method='env', timeout_s=1800):
    return _TorchConfig(backend, timeout_s)


class SeedDummyTrainer(_train.DummyTrainer):
    """DummyTrainer of ray.ml: so many seconds, whole epochs; batches are blocks unless batch_size is given."""
    _name, _keys = 'DummyTrainer', ('bytes_read', 'num_batches', 'num_epochs')
    _index_bytes = _INDEX_BYTES

    def __init__(self, *, scaling_config=None, runtime_seconds=30, prefetch_blocks=1, batch_size=None, datasets=None,
                 preprocessor=None, run_config=None, **ignored):
        super().__init__(scaling_config=scaling_config, runtime_seconds=runtime_seconds, prefetch_blocks=prefetch_blocks,
                         batch_size=batch_size, datasets=datasets, preprocessor=preprocessor, run_config=run_config)


class AirDummyTrainer(_train.DummyTrainer):
    """DummyTrainer of ray.air: so many epochs, batches of 4,096 rows."""
    _name = 'DummyTrainer'
    _index_bytes = _INDEX_BYTES

    def __init__(self, *, scaling_config=None, num_epochs=1, prefetch_blocks=1, batch_size=4096, datasets=None,
                 preprocessor=None, run_config=None, **ignored):
        super().__init__(scaling_config=scaling_config, num_epochs=num_epochs, prefetch_blocks=prefetch_blocks,
                         batch_size=batch_size, datasets=datasets, preprocessor=preprocessor, run_config=run_config)


# --- trials ---

class TuneConfig(_tune.TuneConfig):
    def __init__(self, metric=None, mode=None, search_alg=None, scheduler=None, num_samples=1, max_concurrent_trials=None,
                 time_budget_s=None, **ignored):
        super().__init__(metric, mode, search_alg, scheduler, num_samples, max_concurrent_trials or None, time_budget_s)


def with_parameters(trainable, **parameters):
    return _tune.with_parameters(_carried(trainable), **parameters)


class Tuner(_tune.Tuner):
    """Functions of a setting are carried as training loops are."""

    def __init__(self, trainable, *, param_space=None, tune_config=None, run_config=None):
        super().__init__(_carried(trainable), param_space=param_space, tune_config=tune_config, run_config=run_config)


def _carried(trainable):
    if isinstance(trainable, (_train.DataParallelTrainer, type)) or not hasattr(trainable, '__code__'):
        return trainable
    made = _Carried(trainable)
    made.__name__ = trainable.__name__
    return made
