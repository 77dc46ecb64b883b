# SPDX-License-Identifier: Apache-2.0
"""Trainers: worker processes that are started, fed and watched in C.

In the script: Trainer(loop, scaling_config=ScalingConfig(num_workers=2), datasets={"train": ds}).fit(). In the loop, which runs
in each worker: get_dataset_shard("train"), report(...), world_rank(), world_size(). A worker never runs the script again.

DummyTrainer is the ingest check: workers that only read, and a report of what reading cost.
"""

import dataclasses
import json
import time

from . import _core
from ._runtime import runtime

_session = None  # in a worker: its end of the trainer


@dataclasses.dataclass
class ScalingConfig:
    """How many workers. use_gpu, resources and placement are accepted and do nothing on one machine."""
    num_workers: int = 1
    use_gpu: bool = False
    resources_per_worker: dict = None
    trainer_resources: dict = None
    placement_strategy: str = 'PACK'

    def __post_init__(self):
        gpus = (self.resources_per_worker or {}).get('GPU', 0)
        if bool(gpus) != self.use_gpu and gpus:
            raise ValueError(f'use_gpu is {self.use_gpu} and resources_per_worker asks for {gpus} GPUs')
        if self.num_workers < 1:
            raise ValueError(f'num_workers {self.num_workers}: at least one')

    @classmethod
    def of(cls, config):
        if config is None or isinstance(config, cls):
            return config or cls()
        known = {f.name for f in dataclasses.fields(cls)}
        return cls(**{k: v for k, v in dict(config).items() if k in known})


@dataclasses.dataclass
class Result:
    """What came of fit: the last metrics of rank 0, all of them, and what became of each worker."""
    metrics: dict
    metrics_history: list
    workers: list
    seconds: float
    peak_anonymous_bytes: int
    busy: dict
    error: Exception = None


# --- in a worker ---

class DatasetShard:
    """A worker's part of a dataset. Each pass over iter_batches is an epoch."""

    def __init__(self, session, name):
        self._session, self._name, self._feeds = session, name, {}

    def iter_batches(self, *, batch_size=256, batch_format='numpy', drop_last=False, prefetch_batches=None,
                     prefetch_blocks=None, shuffle='none', seed=0, window_rows=0, nulls='error', epochs=None):
        """As Dataset.iter_batches; a second pass with equal options is the next epoch of the same stream.

        epochs: how many passes there will be at most, so that nothing is read ahead for another one.
        """
        from . import _convert
        from .dataset import _stream_options
        ahead = prefetch_blocks if prefetch_blocks is not None else prefetch_batches
        options = _stream_options(batch_size, drop_last, ahead, shuffle, seed, window_rows)
        key = (epochs, *options.items())
        feed = self._feeds.get(key)
        if feed is None:
            feed = self._feeds[key] = self._session.feed(self._name, epochs=epochs or -1, **options)
        elif not feed.next_epoch():
            raise _core.InvalidError(f'there are {epochs} passes over this shard, as was asked for, and no more')
        form = _convert.former(batch_format, nulls)
        self._last = feed
        return (form(batch) for batch in feed)

    def iter_torch_batches(self, **options):
        return self.iter_batches(batch_format='torch', **options)

    def stats(self):
        return self._session.stats(self._name)

    def feed_stats(self):
        """Where this worker's time went, in the last stream it read."""
        return self._last.stats()


def _open_session(session):
    global _session
    _session = session
    session_shards.clear()


def _close_session():
    global _session
    _session = None
    for shard in session_shards.values():
        shard._feeds.clear()
        shard._last = None
    session_shards.clear()


session_shards = {}


def _in_worker():
    if _session is None:
        raise RuntimeError('this belongs into the training loop of a Trainer: no worker is running here')
    return _session


def get_dataset_shard(name='train'):
    """This worker's shard of a dataset of the trainer."""
    session = _in_worker()
    if name not in session_shards:
        session_shards[name] = DatasetShard(session, name)
    return session_shards[name]


def report(metrics=None, /, **more):
    """Metrics for the script; never blocks: when the script lags, older ones are replaced."""
    _in_worker().report(json.dumps({**(metrics or {}), **more}, default=_plain))


def _plain(value):
    return value.item() if hasattr(value, 'item') else str(value)


def world_rank():
    return _in_worker().rank


def world_size():
    return _in_worker().world_size


def print_line(text):
    """Prints a line through the script, in the order of this worker's lines."""
    _in_worker().line(str(text))


# --- in the script ---

class Trainer:
    """Runs a function in worker processes, each fed with its part of the datasets.

    datasets: a dict of name to Dataset (or to a function without arguments that makes one). "train" is split between the
    workers, the others go whole to each. preprocessor: fitted on "train", applied to all.
    """

    def __init__(self, train_loop_per_worker, *, train_loop_config=None, scaling_config=None, datasets=None,
                 preprocessor=None, run_config=None, worker_idle_s=0.0):
        self.train_loop_per_worker, self.train_loop_config = train_loop_per_worker, train_loop_config
        self.scaling_config = ScalingConfig.of(scaling_config)
        self.datasets, self.preprocessor = dict(datasets or {}), preprocessor
        self.run_config, self.worker_idle_s = run_config, worker_idle_s

    def preprocess_datasets(self):
        """Makes, fits and transforms; streamed, so that nothing is read but what fitting needs."""
        made = {n: d() if callable(d) else d for n, d in self.datasets.items()}
        if self.preprocessor is not None:
            if 'train' in made and self.preprocessor.fit_status() is not self.preprocessor.FitStatus.FITTED:
                self.preprocessor.fit(made['train'])
            made = {n: self.preprocessor.transform(d) for n, d in made.items()}
        self.datasets = made

    def fit(self):
        """Runs to the end. A failure of the loop comes back as the exception it was."""
        self.preprocess_datasets()
        return self._run(self.train_loop_per_worker, self.train_loop_config)

    def _run(self, loop, config):
        from . import _function
        history, lines = [], self._on_line

        def on_report(rank, text):
            if rank == 0:
                history.append(json.loads(text))

        payload = _function.envelope(_function.pickled((loop, config), 'the training loop'))
        known, status, message = _core.trainer_run(
            runtime(), _function.worker_argv(), payload,
            [(name, d._handle, name == 'train') for name, d in self.datasets.items()],
            workers=self.scaling_config.num_workers, worker_idle_s=self.worker_idle_s, on_report=on_report, on_line=lines)
        result = Result(history[-1] if history else {}, history, known['workers'], known['seconds'],
                        known['peak_anonymous_bytes'], known['busy'])
        for worker in known['workers']:
            if worker['end'] in ('died', 'idle'):
                print(f"headrace: worker {worker['rank']} {_ENDS[worker['end']]} (code {worker['exit_code']}) after "
                      f"{worker['batches']} batches; {worker['undelivered_rows']} rows of its epoch were not delivered")
        if status:
            result.error = _error_of(known['workers'], message)
            raise result.error
        return result

    def _on_line(self, rank, line):
        print(line, flush=True)


_ENDS = {'died': 'died', 'idle': 'was idle for too long and was ended'}


def _error_of(workers, message):
    from . import _worker
    for worker in workers:
        if worker['end'] == 'failed':
            error = _worker.rebuild(worker['details'], worker['message'] or '') if worker['details'] else None
            if error is not None:
                error.add_note(f"in the training loop of worker {worker['rank']}")
                return error
            return _core.FunctionError(f"worker {worker['rank']}: {worker['message']}")
    return _core.Error(message)


# --- the ingest check ---

def _quantile(ordered, q):
    """As numpy.percentile does, between the nearest ranks."""
    at = q * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def _check_loop(config):
    """A worker of DummyTrainer: whole passes over "train", and what they cost."""
    names = config['keys']
    print_line(f'Starting train loop on worker {world_rank()}')
    shard, delays = get_dataset_shard('train'), []
    batches = epochs = nbytes = 0
    began = time.perf_counter()
    while True:
        stamp = time.perf_counter()
        for batch in shard.iter_batches(batch_size=config['batch_size'], prefetch_blocks=config['prefetch_blocks'],
                                        batch_format=None,
                                        epochs=config['epochs'] if config['seconds'] is None else None):
            delays.append(time.perf_counter() - stamp)
            batches += 1
            nbytes += batch.nbytes + config['index_bytes']
            if config['touch']:
                batch.touch()
            del batch
            report({names[0]: nbytes, names[1]: batches, names[2]: epochs, 'batch_delay': delays[-1]})
            stamp = time.perf_counter()
        epochs += 1
        elapsed = time.perf_counter() - began
        if (elapsed >= config['seconds']) if config['seconds'] is not None else (epochs >= config['epochs']):
            break
    ordered = sorted(delays) or [0.0]
    print_line(f'Time to read all data {elapsed} seconds')
    print_line(f'P50/P95/Max batch delay (s) {_quantile(ordered, .5)} {_quantile(ordered, .95)} {ordered[-1]}')
    print_line(f'Num epochs read {epochs}')
    print_line(f'Num batches read {batches}')
    print_line(f'Num bytes read {round(nbytes / 2**20, 2)} MiB')
    print_line(f'Mean throughput {round(nbytes / 2**20 / elapsed, 2)} MiB/s')
    feed = shard.feed_stats()
    report({names[0]: nbytes, names[1]: batches, names[2]: epochs, 'wait_s': feed['wait_s'], 'own_s': feed['own_s'],
            'first_batch_s': feed['first_batch_s'], 'loop_s': elapsed, 'touched': config['touch']})
    if world_rank() == 0:
        print_line(f'Ingest stats from rank=0:\n\n{shard.stats()}')


_CAUSES = (('storage_s', 'storage'), ('decompress_s', 'decompress'), ('decode_s', 'decode'),
           ('transform_s', 'transform'), ('function_s', 'functions'), ('batch_s', 'batching'), ('spill_s', 'spill'),
           ('memory_s', 'room in memory'))


class DummyTrainer(Trainer):
    """A trainer that only reads: it runs the ingest alone and prints what it cost.

    runtime_seconds: whole epochs until so long has passed; else num_epochs. batch_size None: whole blocks.
    touch: read every byte of every batch; without it batches are handed over by reference and nothing of them is read.
    """
    _keys = ('bytes_read', 'batches_read', 'epochs_read')
    _index_bytes = 0

    def __init__(self, *, scaling_config=None, num_epochs=1, runtime_seconds=None, prefetch_blocks=1, batch_size=4096,
                 datasets=None, preprocessor=None, run_config=None, worker_idle_s=0.0, touch=False):
        super().__init__(_check_loop, scaling_config=scaling_config, datasets=datasets, preprocessor=preprocessor,
                         run_config=run_config, worker_idle_s=worker_idle_s)
        self.num_epochs, self.runtime_seconds = num_epochs, runtime_seconds
        self.prefetch_blocks, self.batch_size, self.touch = prefetch_blocks, batch_size, touch

    def preprocess_datasets(self):
        print('Starting dataset preprocessing')
        began = time.perf_counter()
        super().preprocess_datasets()
        print(f'Preprocessed datasets in {time.perf_counter() - began} seconds')
        if self.preprocessor is not None:
            print('Preprocessor', self.preprocessor)
            print(f'Preprocessor transform stats:\n\n{self.preprocessor.transform_stats()}', flush=True)

    def fit(self):
        if 'train' not in self.datasets:
            raise ValueError('DummyTrainer reads the dataset "train": give it one')
        self.preprocess_datasets()
        result = self._run(_check_loop, {
            'batch_size': self.batch_size, 'prefetch_blocks': self.prefetch_blocks, 'epochs': self.num_epochs,
            'seconds': self.runtime_seconds, 'keys': self._keys, 'index_bytes': self._index_bytes,
            'touch': self.touch})
        print(_attribution(result), flush=True)
        return result


def _mib_s(metrics):
    return f'{metrics["bytes_read"] / 2**20 / max(metrics["loop_s"], 1e-9):,.0f} MiB/s'


def _attribution(result):
    """Where the time went, in one line: what the trainer waited for, by what the pipeline's threads were busy with."""
    metrics = result.metrics
    wait, own = metrics.get('wait_s', 0.0), metrics.get('own_s', 0.0)
    if wait + own <= 0:
        return 'The trainer read nothing.'
    share = wait / (wait + own)
    busy = {word: result.busy[key] for key, word in _CAUSES if result.busy.get(key)}
    total = sum(busy.values())
    parts = [f'{word} {100 * share * s / total:.0f} %' for word, s in sorted(busy.items(), key=lambda i: -i[1])]
    return (f'The trainer waited {100 * share:.0f} % of the time'
            + (f', for: {"   ".join(p for p in parts if not p.endswith(" 0 %"))}' if total and share > 0.005 else '')
            + f'\nBatches were handed over by reference at {_mib_s(metrics)}, '
              f'{"every byte touched" if metrics.get("touched") else "no byte of them touched (touch=True reads all)"}'
            + f'\nFirst batch after {metrics.get("first_batch_s", 0.0) * 1e3:.1f} ms; '
              f'{len(result.workers)} worker{"s" if len(result.workers) != 1 else ""}, '
              f'peak {result.peak_anonymous_bytes / 2**20:.0f} MiB of anonymous memory in all processes')
