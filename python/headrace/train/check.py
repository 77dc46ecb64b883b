# SPDX-License-Identifier: Apache-2.0
"""DummyTrainer, the ingest check: workers that only read, and a report of what reading cost."""

import time

from .page import CAUSES
from .session import get_dataset_shard, print_line, report, world_rank
from .trainer import Trainer


def _quantile(ordered, q):
    """As numpy.percentile does, between the nearest ranks."""
    at = q * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def _check_loop(config):
    """A worker of DummyTrainer: whole passes over "train", and what they cost."""
    from .. import _convert  # noqa: F401: an import is no part of a batch's delay
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
    print_line(f'Time to read all data {elapsed} seconds\n'  # one line to the trainer: workers' lines do not mix
               f'P50/P95/Max batch delay (s) {_quantile(ordered, .5)} {_quantile(ordered, .95)} {ordered[-1]}\n'
               f'Num epochs read {epochs}\n'
               f'Num batches read {batches}\n'
               f'Num bytes read {round(nbytes / 2**20, 2)} MiB\n'
               f'Mean throughput {round(nbytes / 2**20 / elapsed, 2)} MiB/s')
    feed = shard.feed_stats()
    report({names[0]: nbytes, names[1]: batches, names[2]: epochs, 'wait_s': feed['wait_s'], 'own_s': feed['own_s'],
            'first_batch_s': delays[0] if delays else 0.0, 'loop_s': elapsed, 'touched': config['touch']})
    if world_rank() == 0:
        print_line(f'Ingest stats from rank=0:\n\n{shard.stats()}')


class DummyTrainer(Trainer):
    """A trainer that only reads: it runs the ingest alone and prints what it cost.

    runtime_seconds: whole epochs until so long has passed; else num_epochs. batch_size None: whole blocks.
    touch: read every byte of every batch; without it batches are handed over by reference and nothing of them is read.
    html: a path; the report is written there as a page too, as by `headrace check --html`.
    """
    _keys = ('bytes_read', 'batches_read', 'epochs_read')
    _index_bytes = 0

    def __init__(self, *, scaling_config=None, num_epochs=1, runtime_seconds=None, prefetch_blocks=1, batch_size=4096,
                 datasets=None, preprocessor=None, run_config=None, worker_idle_s=0.0, touch=False,
                 html=None):
        super().__init__(_check_loop, scaling_config=scaling_config, datasets=datasets, preprocessor=preprocessor,
                         run_config=run_config, worker_idle_s=worker_idle_s)
        self.num_epochs, self.runtime_seconds = num_epochs, runtime_seconds
        self.prefetch_blocks, self.batch_size, self.touch, self.html = prefetch_blocks, batch_size, touch, html

    def preprocess_datasets(self):
        print('Starting dataset preprocessing')
        began = time.perf_counter()
        super().preprocess_datasets()
        print(f'Preprocessed datasets in {time.perf_counter() - began} seconds')
        if self.preprocessor is not None:
            print('Preprocessor', self.preprocessor)
            print(f'Preprocessor transform stats:\n\n{self.preprocessor.transform_stats()}', flush=True)

    def training_loop(self):
        return _check_loop, {
            'batch_size': self.batch_size, 'prefetch_blocks': self.prefetch_blocks, 'epochs': self.num_epochs,
            'seconds': self.runtime_seconds, 'keys': self._keys, 'index_bytes': self._index_bytes,
            'touch': self.touch}

    def begin(self, **options):
        if 'train' not in self.datasets:
            raise ValueError('DummyTrainer reads the dataset "train": give it one')
        if self.html is not None:
            open(self.html, 'w').close()  # a path that cannot be written costs no run
        return super().begin(**options)

    def _page_title(self, run):
        return None  # a check's page is named for what it reads

    def _ended(self, result):
        for line in _attribution(result).splitlines():
            self._on_line(-1, line)


def _mib_s(metrics):
    return f'{metrics["bytes_read"] / 2**20 / max(metrics["loop_s"], 1e-9):,.0f} MiB/s'


def _attribution(result):
    """Where the time went, in one line: what the trainer waited for, by what the pipeline's threads were busy with."""
    metrics = result.metrics
    wait, own = metrics.get('wait_s', 0.0), metrics.get('own_s', 0.0)
    if wait + own <= 0:
        return 'The trainer read nothing.'
    share = wait / (wait + own)
    busy = {word: result.busy[key] for key, word in CAUSES if result.busy.get(key)}
    total = sum(busy.values())
    parts = [f'{word} {100 * share * s / total:.0f} %' for word, s in sorted(busy.items(), key=lambda i: -i[1])]
    return (f'The trainer waited {100 * share:.0f} % of the time'
            + (f', for: {"   ".join(p for p in parts if not p.endswith(" 0 %"))}' if total and share > 0.005 else '')
            + f'\nBatches were handed over by reference at {_mib_s(metrics)}, '
              f'{"every byte touched" if metrics.get("touched") else "no byte of them touched (touch=True reads all)"}'
            + f'\nFirst batch after {metrics.get("first_batch_s", 0.0) * 1e3:.1f} ms; '
              f'{len(result.workers)} worker{"s" if len(result.workers) != 1 else ""}, '
              f'peak {result.peak_anonymous_bytes / 2**20:.0f} MiB of anonymous memory in all processes')
