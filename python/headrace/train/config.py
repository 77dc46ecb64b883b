# SPDX-License-Identifier: Apache-2.0
"""What a trainer is told: how many workers, where results go, what becomes of failures, checkpoints and datasets."""

import dataclasses
import os
import time

from .._feeds import TAILS

WILDCARD = '*'  # in a dataset_config: all datasets that it does not name


@dataclasses.dataclass
class ScalingConfig:
    """How many workers, and the slots of the runtime's ledger that they take while they run.

    resources_per_worker and trainer_resources: {"CPU": 1, "GPU": 0}, fractions allowed; what can never fit is an error. Left
    out: a CPU (and with use_gpu a GPU) a worker where there are so many, else an equal share; the trainer itself takes none.
    Ingest needs no slot. ingest_bytes: a pass over a dataset reads at most so many bytes ahead (0: as memory allows), so that
    one of several trials cannot take the room of the others. ingest_threads: so many of the runtime's threads work for this
    trainer first whenever it has work for them, so that heavy functions of another trial cannot starve it; idle ones serve
    all. Together trials reserve at most the threads there are; the next one waits, as for slots. placement_strategy is accepted and does nothing on one machine.
    """
    num_workers: int = 1
    use_gpu: bool = False
    resources_per_worker: dict = None
    trainer_resources: dict = None
    placement_strategy: str = 'PACK'
    ingest_bytes: int = 0
    ingest_threads: int = 0

    def __post_init__(self):
        gpus = (self.resources_per_worker or {}).get('GPU', 0)
        if bool(gpus) != self.use_gpu and (gpus or self.resources_per_worker and 'GPU' in self.resources_per_worker):
            raise ValueError(f'use_gpu is {self.use_gpu} and resources_per_worker asks for {gpus} GPUs')
        if not isinstance(self.num_workers, int):
            raise TypeError(f'num_workers {self.num_workers!r}: a whole number of worker processes')
        if self.num_workers < 1:
            raise ValueError(f'num_workers {self.num_workers}: at least one')
        for name in ('ingest_bytes', 'ingest_threads'):
            if getattr(self, name) < 0:
                raise ValueError(f'{name} {getattr(self, name)}: zero or more')

    @classmethod
    def of(cls, config):
        if config is None or isinstance(config, ScalingConfig):
            return config or cls()
        if not isinstance(config, dict):
            raise TypeError(f'scaling_config: a ScalingConfig or a dict, not {config!r:.100}')
        known = [f.name for f in dataclasses.fields(cls)]
        unknown = [name for name in config if name not in known]
        if unknown:
            raise ValueError(f'scaling_config has no {unknown[0]!r}: there are {", ".join(known)}')
        return cls(**config)

    def slots(self, cpus):
        """As the options of the library; cpus: how many there are."""
        mine, each = self.trainer_resources or {}, self.resources_per_worker
        if each is None:
            each = {'CPU': min(1.0, cpus / self.num_workers), 'GPU': 1.0 if self.use_gpu else 0.0}
        return {'cpus': float(mine.get('CPU', 0)), 'gpus': float(mine.get('GPU', 0)),
                'worker_cpus': float(each.get('CPU', 1)), 'worker_gpus': float(each.get('GPU', 0))}


@dataclasses.dataclass
class FailureConfig:
    """max_failures: how often all workers are started again, from the last checkpoint and its row, after one failed; -1:
    always. fail_fast: of trials, the first that fails ends all."""
    max_failures: int = 0
    fail_fast: bool = False

    def __post_init__(self):
        if self.fail_fast and self.max_failures:
            raise ValueError('fail_fast ends everything at the first failure: max_failures must be 0 with it')


@dataclasses.dataclass
class CheckpointConfig:
    """num_to_keep: the newest so many stay, or with checkpoint_score_attribute the best (and the last); None: all.
    checkpoint_frequency and checkpoint_at_end are for trainers that make checkpoints themselves, as SklearnTrainer."""
    num_to_keep: int = None
    checkpoint_score_attribute: str = None
    checkpoint_score_order: str = 'max'
    checkpoint_frequency: int = 0
    checkpoint_at_end: bool = None

    def __post_init__(self):
        if self.num_to_keep is not None and self.num_to_keep < 1:
            raise ValueError(f'num_to_keep {self.num_to_keep}: at least one, since restarts need it; None: all')
        if self.checkpoint_score_order not in ('max', 'min'):
            raise ValueError(f"checkpoint_score_order {self.checkpoint_score_order!r}: 'max' or 'min'")
        if self.checkpoint_frequency < 0:
            raise ValueError(f'checkpoint_frequency {self.checkpoint_frequency}: zero or more epochs')


class RunConfig:
    """name: of the run's folder in storage_path (local_dir is its older name; default: HEADRACE_RESULTS, else
    ~/headrace_results). stop: {metric: value}, the run ends when one is reached (training_iteration and time_total_s are
    counted), or a function of (run's name, metrics). callbacks: objects with any of on_report(metrics),
    on_checkpoint(checkpoint, metrics), on_end(result). verbose: 0: silent, 1: failures, 2: metrics too."""

    def __init__(self, name=None, storage_path=None, local_dir=None, stop=None, failure_config=None, checkpoint_config=None,
                 verbose=1, callbacks=None):
        for given, kind, what in ((failure_config, FailureConfig, 'failure_config'),
                                  (checkpoint_config, CheckpointConfig, 'checkpoint_config')):
            if given is not None and not isinstance(given, kind):
                raise TypeError(f'{what}: a {kind.__name__}, not {given!r:.100}')
        self.name = name
        self.storage_path = os.path.abspath(os.path.expanduser(os.fspath(
            storage_path or local_dir or os.environ.get('HEADRACE_RESULTS') or '~/headrace_results')))
        if stop is not None and not callable(stop) and not isinstance(stop, dict):
            raise TypeError(f'stop {stop!r}: a dict of metric to value, or a function')
        self.stop = stop
        self.failure_config = failure_config or FailureConfig()
        self.checkpoint_config = checkpoint_config or CheckpointConfig()
        self.verbose, self.callbacks = verbose, list(callbacks or ())

    @property
    def local_dir(self):
        return self.storage_path

    def folder(self, kind):
        """The run's folder; without a name one that no other run has."""
        name = self.name or f'{kind}_{time.strftime("%Y-%m-%d_%H-%M-%S")}_{os.getpid() % 10000:04d}{next_number():02d}'
        return os.path.join(self.storage_path, name)


_numbers = iter(range(1 << 62))


def next_number():
    return next(_numbers)


@dataclasses.dataclass
class DatasetConfig:
    """What a trainer does with one of its datasets. None: as the trainer's own configuration says, else its default.

    fit: the preprocessor learns from it. split: each worker gets its part, else each gets everything. required: the trainer
    refuses to start without it. transform: the preprocessor is applied (True). use_stream_api: True: streamed, False: made
    once and kept (streamed). global_shuffle, randomize_block_order: the order that the shard's feeds have unless they are told
    another one (neither). tail: what becomes of an epoch's last rows that make no step (drop, pad, uneven).
    stream_window_size is accepted: a streamed dataset holds what its memory budget says.
    """
    fit: bool = None
    split: bool = None
    required: bool = None
    transform: bool = None
    use_stream_api: bool = None
    stream_window_size: float = None
    global_shuffle: bool = None
    randomize_block_order: bool = None
    tail: str = None

    def __post_init__(self):
        if self.tail not in TAILS:
            raise ValueError(f"tail {self.tail!r}: 'uneven', 'drop' or 'pad'")

    def merged(self, other):
        """This, with what the other one says instead."""
        if not isinstance(other, DatasetConfig):
            raise TypeError(f'dataset_config is a dict of name to DatasetConfig, and has {other!r}')
        said = {k: v for k, v in dataclasses.asdict(other).items() if v is not None}
        return dataclasses.replace(self, **said)

    def order(self):
        """What the iter_ functions of a shard are told unless they are told otherwise."""
        shuffle = 'global' if self.global_shuffle else 'blocks' if self.randomize_block_order else None
        return {k: v for k, v in (('shuffle', shuffle), ('tail', self.tail)) if v is not None}

    @staticmethod
    def merge(own, given):
        """A trainer's own configuration with the user's over it. A name that the trainer does not know needs its wildcard."""
        if given is not None and not isinstance(given, dict):
            raise TypeError(f'dataset_config is a dict of name to DatasetConfig, as {{"train": ...}}, and not {given!r:.100}')
        result = dict(own)
        for name, config in (given or {}).items():
            base = own.get(name, own.get(WILDCARD))
            if base is None:
                raise ValueError(f'dataset_config names {name!r}: this trainer knows {sorted(own)} and no others')
            result[name] = base.merged(config)
        return result

    @staticmethod
    def validated(configs, datasets):
        """A DatasetConfig for each dataset; ValueError where they contradict each other."""
        fitted = [name for name, c in configs.items() if c.fit]
        for name, c in configs.items():
            if c.fit and c.transform is False:
                raise ValueError(f'dataset {name!r}: fit=True and transform=False contradict each other')
            if c.required and name not in datasets:
                raise ValueError(f'dataset {name!r} is required and was not given; there are {sorted(datasets)}')
        if len(fitted) > 1:
            raise ValueError(f'a preprocessor is fitted on one dataset, and fit=True is said of {sorted(fitted)}')
        unknown = [name for name in datasets if name not in configs and WILDCARD not in configs]
        if unknown:
            raise ValueError(f'dataset {unknown[0]!r} is not expected: this trainer knows {sorted(configs)}')
        return {name: configs.get(name) or configs[WILDCARD] for name in datasets}
