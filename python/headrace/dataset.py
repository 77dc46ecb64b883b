# SPDX-License-Identifier: Apache-2.0
"""Dataset: a lazy plan over rows, for Python. Every operation returns a new one and does nothing yet; rows are read when a
result is asked for, in C, on all threads. This file turns keywords into calls and forms, and has no loop over rows.
"""

from . import _core
from ._core import Expr
from ._feeds import Batches, Feeds, stream_options
from ._numbers import seed_of, whole
from ._runtime import runtime

def _names(names):
    return [names] if isinstance(names, str) else list(names)


class Dataset(Feeds):
    """Rows of named columns. Made by the functions of headrace (read_parquet, range, from_numpy, ...)."""

    def __init__(self, handle, notes=()):
        self._handle = handle
        self._notes = tuple(notes)  # what became of the user's functions, for explain

    def _with(self, handle, note=None):
        return Dataset(handle, self._notes + ((note,) if note else ()))

    # --- row by row ---

    def map(self, assignments, /, **columns):
        """Assignments as text ('x = (x - 3) / 2; y = log1p(x)'), or columns as expressions: map(x=col("x") * 2)."""
        handle = self._handle
        if isinstance(assignments, str):
            handle = handle.map(assignments)
        elif isinstance(assignments, dict):
            columns = {**assignments, **columns}
        else:
            raise TypeError('map takes assignments as text or a dict of expressions; for a function use map_batches')
        for name, expr in columns.items():
            handle = handle.assign(name, expr)
        return self._with(handle)

    def map_batches(self, fn, *, batch_size=None, batch_format='numpy', fn_args=(), fn_kwargs=None,
                    fn_constructor_args=(), fn_constructor_kwargs=None, concurrency=None, trace=True):
        """Calls `fn` on batches and takes what it returns: a dict of arrays, a DataFrame or an Arrow table.

        A plain function of operators and NumPy functions is traced once and runs in C (explain() tells). Any other one runs as
        written, in `concurrency` processes; a class is constructed once in each.
        """
        from . import _function
        if batch_format not in ('numpy', 'pandas', 'pyarrow'):
            raise ValueError(f"batch_format {batch_format!r}: 'numpy', 'pandas' or 'pyarrow'")
        name, reason = _function.name_of(fn), 'tracing was switched off'
        plain = not (fn_args or fn_kwargs or fn_constructor_args or fn_constructor_kwargs or isinstance(fn, type))
        if trace and plain and concurrency is None and batch_format != 'pyarrow':
            from . import _trace
            try:
                handle, shown = _trace.traced(self._handle, fn, batch_format)
                return self._with(handle, f'{name}: traced, runs in C: {shown}')
            except _trace.Refused as e:
                reason = str(e)
        elif trace:
            reason = 'only a plain function of a NumPy or pandas batch, without arguments or concurrency, is traced'
        payload = _function.function_payload(fn, batch_format, fn_args=fn_args, fn_kwargs=fn_kwargs,
                                             fn_constructor_args=fn_constructor_args,
                                             fn_constructor_kwargs=fn_constructor_kwargs)
        handle = self._handle.map_process(_function.worker_argv(), payload, processes=_processes(concurrency),
                                          name=name, batch_rows=batch_size or 0, identity=_function.identity(payload))
        return self._with(handle, f'{name}: runs as written, in Python processes: {reason}')

    def filter(self, predicate):
        """Keeps rows: an expression, its text, or a Python function of one row (a dict), which runs in processes."""
        if isinstance(predicate, (str, Expr)):
            return self._with(self._handle.filter(predicate))
        from . import _function
        name = _function.name_of(predicate)
        payload = _function.function_payload(predicate, None, row_wise='filter')
        handle = self._handle.map_process(_function.worker_argv(), payload, name=f'filter({name})',
                                          schema=self._handle.schema(), identity=_function.identity(payload))
        return self._with(handle, f'{name}: runs as written, in Python processes, on one row at a time')

    def select_columns(self, cols):
        return self._with(self._handle.select(_names(cols)))

    def drop_columns(self, cols):
        return self._with(self._handle.drop(_names(cols)))

    def rename_columns(self, names):
        """A dict of old to new names, or a list of all names."""
        if not isinstance(names, dict):
            names = dict(zip(self.columns(), names))
        handle = self._handle
        for old, new in names.items():
            if old != new:
                handle = handle.rename(old, new)
        return self._with(handle)

    def add_column(self, name, value):
        """A column from an expression, its text, a number; or a function of a pandas batch that returns the column."""
        if isinstance(value, str):
            return self._with(self._handle.assign(name, Expr.parse(value)))
        if callable(value) and not isinstance(value, Expr):
            return self.map_batches(_AddColumn(name, value), batch_format='pandas')
        return self._with(self._handle.assign(name, value))

    # --- whole datasets ---

    def limit(self, rows):
        return self._with(self._handle.limit(rows))

    def union(self, *others):
        return self._with(self._handle.union([o._handle for o in others]))

    def repartition(self, num_blocks):
        return self._with(self._handle.repartition(num_blocks))

    def split(self, n, *, equal=False, locality_hints=None):
        """n contiguous parts: by blocks, or (equal) of the same number of rows, the rest dropped."""
        return [self._with(self._handle.split(n, i, equal)) for i in range_(whole('split', n, least=1))]

    def split_at_indices(self, indices):
        """Rows before each index, and the rest. Where only a run can tell how many rows there are, they are kept first."""
        return [self._with(part) for part in self._handle.split_at_indices(list(indices))]

    def split_proportionately(self, proportions):
        """Parts of these shares of the rows, and the rest; none is empty."""
        return [self._with(part) for part in self._handle.split_proportionately(list(proportions))]

    def train_test_split(self, test_size, *, shuffle=False, seed=0):
        """(train, test): the last rows are the test part, a share of them (a float) or so many (an int).

        shuffle: rows are shuffled first and kept, so that both parts stay what they are in all epochs.
        """
        if not isinstance(test_size, (int, float)) or isinstance(test_size, bool):
            raise TypeError(f'test_size {test_size!r}: a share of the rows (a float) or a number of them (an int)')
        if isinstance(test_size, float) and not 0 < test_size < 1:
            raise ValueError(f'test_size {test_size}: a share is over 0 and below 1')
        share, rows = (test_size, 0) if isinstance(test_size, float) else (0.0, test_size)
        return tuple(self._with(part) for part in self._handle.train_test_split(share, rows, shuffle, seed_of(seed)))

    def random_sample(self, fraction, *, seed=0, each_epoch=False):
        """About `fraction` of the rows: the same ones for any threads and batches, and in each epoch unless each_epoch."""
        return self._with(self._handle.random_sample(fraction, seed_of(seed), each_epoch))

    def randomize_block_order(self, *, seed=0):
        return self._with(self._handle.randomize_block_order(seed_of(seed)))

    def random_shuffle(self, *, seed=0, num_blocks=None):
        """All rows in a uniform order of (seed, epoch): another one in each epoch of a feed (materialize it for one that stays).

        Rows in memory are gathered from where they lie; others go through the store, and the disk beyond the budget.
        """
        shuffled = self._with(self._handle.random_shuffle(seed_of(seed)))
        return shuffled.repartition(num_blocks) if num_blocks else shuffled

    def window(self, *, blocks_per_window=None, bytes_per_window=None):
        """A DatasetPipeline over windows of blocks. Datasets are streamed without it too: see pipeline.py."""
        from . import pipeline
        windows = pipeline.windows_of(self, blocks_per_window, bytes_per_window)
        return pipeline.DatasetPipeline(self, windows=windows)

    def repeat(self, times=None):
        """A DatasetPipeline that reads this so many times, None: without end; the order of each epoch is its own."""
        from . import pipeline
        return pipeline.DatasetPipeline(self, times=pipeline.times_of(times))

    def materialize(self):
        """Runs the plan now and keeps the rows, in memory and beyond the budget on disk."""
        return self._with(self._handle.materialize())

    fully_executed = materialize

    # --- questions ---

    def schema(self):
        return self._handle.schema()

    def columns(self):
        return self._handle.schema().names

    def count(self):
        return self._handle.count()

    def num_blocks(self):
        return self._handle.num_blocks()

    def size_bytes(self):
        return self._handle.size_bytes()

    def is_fully_executed(self):
        return self._handle.is_materialized()

    def stats(self, *, json=False):
        """Statistics of the stages, as text (or JSON); of a stage that has not run yet it says so."""
        return self._handle.stats(json)

    def explain(self):
        """The plan as it will run, and what became of Python functions."""
        return self._handle.explain() + ''.join(f'\n{note}' for note in self._notes)

    def __repr__(self):
        return f'<headrace.Dataset {self._handle.explain().splitlines()[0]}>'

    # --- copies ---

    def __copy__(self):
        return self  # it never changes

    def __deepcopy__(self, memo):
        return self

    def __reduce__(self):
        raise TypeError('a headrace dataset belongs to its process and is not pickled: make it where it is used (a function can), '
                        'or give it to a trainer as one of its datasets; workers have it as get_dataset_shard(name)')

    # --- results ---

    def take(self, limit=20):
        """The first rows, as dicts."""
        return rows_of(self._handle.take(limit))

    def take_all(self, limit=100_000):
        rows = rows_of(self._handle.take(limit + 1))
        if len(rows) > limit:
            raise ValueError(f'the dataset has more than {limit} rows: raise the limit of take_all')
        return rows

    def take_batch(self, batch_size=20, *, batch_format='numpy', nulls='nan'):
        from . import _convert
        return _convert.former(batch_format, nulls)(self._handle.take(batch_size))

    def show(self, limit=20):
        for row in self.take(limit):
            print(row)

    def _begin(self, form, batch_size, order):
        order = dict(order)
        epoch = order.pop('epoch', 0)
        return Batches(self._handle.feed(first_epoch=epoch, **stream_options(batch_size, **order)), form)

    def _next_pass(self, passes):
        return {'epoch': passes}

    def _schema(self, batch_size, order):
        return self._handle.schema()

    def _packing(self, packs, nulls, others=None):
        names, handle = self.columns(), self._handle
        packed = {c for columns, _, _ in packs for c in columns}
        if not packed <= set(names):
            raise _core.NotFoundError(f'no column {min(packed.difference(names))!r}; there are: {", ".join(names)}')
        others = [n for n in names if n not in packed] if others is None else others
        handle = handle.select([n for n in names if n in packed or n in others])
        for columns, name, kind in packs:  # under names of their own, since a column may have this one
            handle = handle.pack(columns, f'{name} (packed)', type=kind, nulls=nulls, keep=True)
        handle = handle.select([*others, *(f'{name} (packed)' for _, name, _ in packs)])
        for _, name, _ in packs:
            handle = handle.rename(f'{name} (packed)', name)
        return self._with(handle)

    def feed(self, *, batch_size=256, epochs=1, first_epoch=0, **order):
        """The stream itself, as an iterator of Batch with position(), stats() and next_epoch()."""
        return self._handle.feed(epochs=epochs, first_epoch=first_epoch,
                                 **stream_options(batch_size, **order))

    def __arrow_c_stream__(self, requested_schema=None):
        return self._handle.__arrow_c_stream__(requested_schema)

    def to_arrow(self):
        """Everything as a pyarrow Table."""
        import pyarrow as pa
        with self._handle.feed(**stream_options(None)) as feed:  # errors stay ours
            return pa.Table.from_batches((pa.record_batch(b) for b in feed), pa.schema(feed.schema))

    def to_pandas(self, limit=None):
        """Everything as a DataFrame; tensor columns become object columns of arrays."""
        import pandas as pd
        if limit is not None and self.count() > limit:
            raise ValueError(f'the dataset has more than {limit} rows: raise the limit of to_pandas')
        frames = list(self.iter_batches(batch_size=None, batch_format='pandas'))
        if not frames:
            return self.take_batch(0, batch_format='pandas')
        return pd.concat(frames, ignore_index=True)

    def write_parquet(self, path, *, codec='zstd', row_group_rows=0, file_rows=0):
        """Parquet files in a folder, which is made; returns the number of rows."""
        return self._handle.write_parquet(str(path), codec, row_group_rows, file_rows)


class _AddColumn:
    """What add_column sends to processes."""

    def __init__(self, name, function):
        self.name, self.function, self.__name__ = name, function, f'add_column({name})'

    def __call__(self, frame):
        return frame.assign(**{self.name: self.function(frame)})


def rows_of(batch):
    from . import _convert
    columns = {c.name: _convert.values(c) for c in batch.columns()}
    names = list(columns)
    return [dict(zip(names, row)) for row in zip(*columns.values())]


def _processes(concurrency):
    if concurrency is None:
        return 0
    if isinstance(concurrency, tuple):  # Ray's (min, max)
        concurrency = max(concurrency)
    if concurrency < 1:
        raise ValueError(f'concurrency {concurrency}: at least one process')
    return int(concurrency)


# --- sources ---

range_ = range  # the builtin: the next function takes its name


def range(n, *, blocks=0):
    """Rows {'id': i} for i below n."""
    return Dataset(_core.range(runtime(), n, blocks))


def range_tensor(n, *, shape=(1,), blocks=0):
    """Rows of one int64 tensor column 'data' of `shape`, row i filled with i."""
    return Dataset(_core.range_tensor(runtime(), n, tuple(shape), blocks))


def read_parquet(paths, *, columns=None, verify_checksums=False, ragged=False):
    """Parquet files: a path, glob or folder, or a list of them. Lists of numbers of one length are tensor columns, unless
    `ragged`."""
    import os
    paths = [os.fspath(p) for p in ([paths] if isinstance(paths, (str, os.PathLike)) else paths)]
    if not paths:
        raise ValueError('read_parquet: no path')
    return Dataset(_core.read_parquet(runtime(), paths[0], paths[1:] or None, columns, verify_checksums, ragged))


def _from_batches(batches, blocks=0):
    made = Dataset(_core.from_batches(runtime(), batches))
    return made.repartition(blocks) if blocks else made


def from_items(items, *, blocks=0):
    """Rows from a list of dicts; other items become the column 'item'."""
    from . import _convert
    items = list(items)
    if not items:
        raise ValueError('from_items: at least one item is needed, for the schema')
    dicts = sum(isinstance(item, dict) for item in items)
    if 0 < dicts < len(items):
        raise ValueError(f'from_items: {dicts} of {len(items)} items are dicts; either all are, or none')
    if dicts:
        columns = {name: [row.get(name) for row in items] for name in dict.fromkeys(k for row in items for k in row)}
        if not columns:
            raise ValueError('from_items: dicts without keys; at least one column is needed')
    else:
        columns = {'item': items}
    return _from_batches([_convert.batch_of_numpy(columns)], blocks)


def from_numpy(arrays, *, blocks=0):
    """A dict of arrays of equal length (or one array: the column 'data'), shared and not copied. A list of them: a block each."""
    from . import _convert
    parts = arrays if isinstance(arrays, list) else [arrays]
    return _from_batches([_convert.batch_of_numpy(a if isinstance(a, dict) else {'data': a}) for a in parts], blocks)


def from_pandas(frames):
    """A DataFrame, or a list of them: a block each. The index is left out."""
    from . import _convert
    return _from_batches([_convert.batch_of_pandas(f) for f in (frames if isinstance(frames, list) else [frames])])


def from_arrow(source):
    """Anything with __arrow_c_stream__ or __arrow_c_array__ (pyarrow, polars, DuckDB), or a list of such; no copy."""
    if isinstance(source, (list, tuple)):
        if not source:
            raise ValueError('from_arrow: an empty list; at least one table is needed, for the schema')
        first, *rest = [from_arrow(s) for s in source]
        return first.union(*rest) if rest else first
    if type(source).__module__.startswith('polars.'):  # its own strings are views, which no block has
        import polars
        source = source.to_arrow(compat_level=polars.CompatLevel.oldest())
    return Dataset(_core.from_arrow(runtime(), source))
