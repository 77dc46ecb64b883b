# SPDX-License-Identifier: Apache-2.0
"""DatasetPipeline: window, repeat and iter_epochs as thin names over streams.

Datasets are streamed as they are, so a window is no barrier: it only says to which rows the functions of windows apply. All
epochs of a pipeline are one stream; the next one begins before the last one ends. Rows and order are those of
Dataset.iter_batches(epoch=...).
"""

import weakref

from . import _core
from ._feeds import Batches, Feeds, stream_options
from ._numbers import whole


class _Streams:
    """What the epochs of a pipeline are read from: for equal options one stream, which goes on from epoch to epoch. An epoch
    that is read again, or after a later one, has a stream of its own."""

    def __init__(self, opened, last):
        self._opened, self._last, self._feeds = opened, last, {}
        self._uses, self._readers = {}, {}  # by options: how many epochs were asked for; who reads the last one

    def batches(self, number, options, form):
        key = tuple(sorted(options.items()))
        feed, at = self._feeds.get(key, (None, -1))
        if at >= number:
            return Batches(self._opened(epochs=1, first_epoch=number, **options), form)
        if feed is None:
            feed, at = self._open(number, options), number
        while at < number and feed.next_epoch():
            at += 1
        self._feeds[key] = feed, number
        self._uses[key] = self._uses.get(key, 0) + 1
        made = Batches(feed, form, ends=False)
        self._readers[key] = weakref.ref(made)
        return made

    def _open(self, number, options):
        left = -1 if self._last is None else self._last - number
        self._close_resting(lambda key: self._uses[key] == 1)  # other options in each epoch: they would collect
        try:
            return self._opened(epochs=left, first_epoch=number, **options)
        except _core.LimitError:
            if not self._close_resting(lambda key: True):
                raise
        return self._opened(epochs=left, first_epoch=number, **options)

    def _close_resting(self, which):
        readers = {key: self._readers[key]() for key in self._feeds if which(key)}
        resting = [key for key, reader in readers.items() if reader is None or reader._feed is None]
        for key in resting:
            self._feeds.pop(key)[0].close()
        return bool(resting)


class Epoch(Feeds):
    """One epoch of a pipeline: its order is that of its number, whichever epochs were read before."""

    def __init__(self, pipeline, streams, number):
        self._pipeline, self._streams, self.number = pipeline, streams, number

    def _begin(self, form, batch_size, order):
        return self._streams.batches(self.number, self._pipeline._options(batch_size, order), form)

    def _schema(self, batch_size, order):
        return self._pipeline.schema()

    def schema(self):
        return self._pipeline.schema()

    def count(self):
        return self._pipeline._dataset.count()

    def stats(self):
        return self._pipeline.stats()


class DatasetPipeline(Feeds):
    """A dataset read `times` times (None: without end), cut in windows of blocks. The iter_ functions go through all epochs."""
    _epoch = Epoch

    def __init__(self, dataset, *, windows=1, times=1, order=None):
        self._dataset, self._windows, self._times = dataset, windows, times
        self._order = dict(order or {})  # what iter_batches is told unless it is told otherwise

    def _with(self, dataset=None, **changes):
        known = {'windows': self._windows, 'times': self._times, 'order': self._order, **changes}
        return type(self)(self._dataset if dataset is None else dataset, **known)

    # --- feeds ---

    def _options(self, batch_size, order):
        return stream_options(batch_size, **{**self._order, **order})

    def _begin(self, form, batch_size, order):
        feed = self._dataset._handle.feed(epochs=self._times or -1, **self._options(batch_size, order))
        return Batches(feed, form, epochs=True)

    def _schema(self, batch_size, order):
        return self.schema()

    def _packing(self, packs, nulls, others=None):
        return self._with(self._dataset._packing(packs, nulls, others))

    def iter_epochs(self, max_epoch=-1):
        """One after the other, each with the iter_ functions; equal options in each continue one stream."""
        last = self._times if max_epoch is None or max_epoch < 0 else min(max_epoch, self._times or max_epoch)
        streams, number = _Streams(self._dataset._handle.feed, last), 0
        while last is None or number < last:
            yield self._epoch(self, streams, number)
            number += 1

    def iter_datasets(self):
        """The windows of all epochs, each a Dataset."""
        number = 0
        while self._times is None or number < self._times:
            yield from self._dataset.split(self._windows)
            number += 1

    # --- windows ---

    def repeat(self, times=None):
        """Everything so many times, None: without end. What is done after this is done in each epoch."""
        if self._times != 1:
            raise ValueError('this pipeline was repeated already')
        return self._with(times=times_of(times))

    def rewindow(self, *, blocks_per_window, preserve_epoch=True):
        return self._with(windows=windows_of(self._dataset, blocks_per_window, None))

    def foreach_window(self, fn):
        """fn(Dataset) -> Dataset, applied to each window."""
        parts = self._dataset.split(self._windows) if self._windows > 1 else [self._dataset]
        first, *rest = made = [fn(part) for part in parts]
        from .dataset import Dataset
        wrong = [m for m in made if not isinstance(m, Dataset)]
        if wrong:
            raise TypeError(f'foreach_window: fn returned {wrong[0]!r:.100} for a window: a Dataset is needed')
        return self._with(first.union(*rest) if rest else first)

    def repartition_each_window(self, num_blocks):
        return self.foreach_window(lambda window: window.repartition(num_blocks))

    def randomize_block_order_each_window(self, *, seed=0):
        """Blocks come in another order in each epoch."""
        return self._with(order={**self._order, 'shuffle': 'blocks', 'seed': seed})

    def random_shuffle_each_window(self, *, seed=0, window_rows=None):
        """Rows come in another order in each epoch, permuted within windows of window_rows."""
        return self._with(order={**self._order, 'shuffle': 'window', 'seed': seed, 'window_rows': window_rows})

    def split(self, n, *, equal=False, locality_hints=None):
        return [self._with(part) for part in self._dataset.split(n, equal=equal)]

    # --- row by row, in each epoch ---

    def map(self, *args, **options):
        return self._with(self._dataset.map(*args, **options))

    def map_batches(self, fn, **options):
        return self._with(self._dataset.map_batches(fn, **options))

    def filter(self, predicate):
        return self._with(self._dataset.filter(predicate))

    def add_column(self, name, value):
        return self._with(self._dataset.add_column(name, value))

    def select_columns(self, cols):
        return self._with(self._dataset.select_columns(cols))

    def drop_columns(self, cols):
        return self._with(self._dataset.drop_columns(cols))

    # --- questions ---

    def schema(self):
        return self._dataset.schema()

    def columns(self):
        return self._dataset.columns()

    def count(self):
        """Rows of all epochs."""
        if self._times is None:
            raise ValueError('a pipeline that is repeated without end has no number of rows')
        return self._dataset.count() * self._times

    def take(self, limit=20):
        return self._dataset.take(limit)

    def show(self, limit=20):
        self._dataset.show(limit)

    def show_windows(self, limit_per_window=10):
        for number, window in enumerate(self.iter_datasets()):
            print(f'=== Window {number} ===')
            window.show(limit_per_window)

    def stats(self):
        return self._dataset.stats()

    def __repr__(self):
        times = 'without end' if self._times is None else f'{self._times} times'
        return f'<headrace.DatasetPipeline {times} of {self._dataset!r}, windows: {self._windows}>'


def times_of(times):
    if times is not None and whole('repeat', times) < 1:
        raise ValueError(f'repeat({times}): once or more, or None for no end')
    return times


def windows_of(dataset, blocks_per_window, bytes_per_window):
    """How many windows of so many blocks or bytes a dataset has."""
    if blocks_per_window is not None and bytes_per_window is not None:
        raise ValueError('window takes blocks_per_window or bytes_per_window, not both')
    if bytes_per_window is not None:
        there, part = dataset.size_bytes(), whole('bytes_per_window', bytes_per_window)
    else:
        there, part = dataset.num_blocks(), 10 if blocks_per_window is None else whole('blocks_per_window', blocks_per_window)
    if part < 1:
        raise ValueError('a window has at least one block')
    return max(1, min(-(-there // part), dataset.num_blocks()))
