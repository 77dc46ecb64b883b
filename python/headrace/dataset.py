# SPDX-License-Identifier: Apache-2.0
"""Dataset: a lazy plan over rows, for Python. Every operation returns a new one and does nothing yet; rows are read when a
result is asked for, in C, on all threads. This file turns keywords into calls and forms, and has no loop over rows.
"""

from . import _core
from ._core import Expr
from ._runtime import runtime

_SHUFFLES = {'none': 0, 'blocks': 1, 'window': 2, None: 0}


def _stream_options(batch_size, drop_last, prefetch_blocks, shuffle, seed, window_rows):
    if shuffle not in _SHUFFLES:
        raise ValueError(f"shuffle {shuffle!r}: 'none', 'blocks' or 'window'")
    if batch_size is not None and batch_size <= 0:
        raise ValueError(f'batch_size {batch_size}: a positive number of rows, or None for whole blocks')
    ahead = 0 if prefetch_blocks is None else prefetch_blocks or -1  # the library's 0 is automatic, -1 is none
    return {'batch_rows': batch_size or 0, 'drop_last': drop_last, 'prefetch_blocks': ahead,
            'shuffle': _SHUFFLES[shuffle], 'seed': seed, 'window_rows': window_rows}


def _names(names):
    return [names] if isinstance(names, str) else list(names)


class Dataset:
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
                                          name=name, batch_rows=batch_size or 0)
        return self._with(handle, f'{name}: runs as written, in Python processes: {reason}')

    def filter(self, predicate):
        """Keeps rows: an expression, its text, or a Python function of one row (a dict), which runs in processes."""
        if isinstance(predicate, (str, Expr)):
            return self._with(self._handle.filter(predicate))
        from . import _function
        name = _function.name_of(predicate)
        payload = _function.function_payload(predicate, None, row_wise='filter')
        handle = self._handle.map_process(_function.worker_argv(), payload, name=f'filter({name})',
                                          schema=self._handle.schema())
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
        return [self._with(self._handle.split(n, i, equal)) for i in range_(n)]

    def randomize_block_order(self, *, seed=0):
        return self._with(self._handle.randomize_block_order(seed or 0))

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

    # --- results ---

    def take(self, limit=20):
        """The first rows, as dicts."""
        return _rows(self._handle.take(limit))

    def take_all(self, limit=100_000):
        rows = _rows(self._handle.take(limit + 1))
        if len(rows) > limit:
            raise ValueError(f'the dataset has more than {limit} rows: raise the limit of take_all')
        return rows

    def take_batch(self, batch_size=20, *, batch_format='numpy', nulls='nan'):
        from . import _convert
        return _convert.former(batch_format, nulls)(self._handle.take(batch_size))

    def show(self, limit=20):
        for row in self.take(limit):
            print(row)

    def iter_rows(self, *, prefetch_blocks=None):
        with self._handle.feed(**_stream_options(None, False, prefetch_blocks, None, 0, 0)) as feed:
            for batch in feed:
                yield from _rows(batch)

    def iter_batches(self, *, batch_size=256, batch_format='numpy', drop_last=False, prefetch_batches=None,
                     prefetch_blocks=None, shuffle='none', seed=0, window_rows=0, tensor=None, nulls='error'):
        """Batches of exactly batch_size rows (the last may have fewer), or whole blocks (None), made ahead in C.

        batch_format: 'numpy' (read-only views), 'pandas', 'pyarrow', 'torch' (writable, seen by nobody else), None (Batch).
        tensor: a list of number columns: each batch is one [rows, columns] float32 array; a dict of name to such lists packs
        them beside the other columns. nulls: 'error', 'nan' or a number.
        prefetch_blocks (or prefetch_batches): how many are made ahead; None: found from the data and the budget; 0: none.
        """
        ahead = prefetch_blocks if prefetch_blocks is not None else prefetch_batches
        options = _stream_options(batch_size, drop_last, ahead, shuffle, seed, window_rows)
        handle, form = packed(self._handle, tensor, nulls, batch_format)
        return _batches(handle, options, form)

    def iter_torch_batches(self, *, batch_size=256, dtypes=None, **options):
        """As iter_batches in torch's form; dtypes: one, or a dict by column."""
        for batch in self.iter_batches(batch_size=batch_size, batch_format='torch', **options):
            if dtypes is not None:
                batch = {n: x.to(dtypes.get(n, x.dtype) if isinstance(dtypes, dict) else dtypes)
                         for n, x in batch.items()}
            yield batch

    def feed(self, *, batch_size=256, drop_last=False, prefetch_blocks=None, shuffle='none', seed=0, window_rows=0,
             epochs=1, first_epoch=0, first_step=0):
        """The stream itself, as an iterator of Batch with position(), stats() and next_epoch()."""
        return self._handle.feed(epochs=epochs, first_epoch=first_epoch, first_step=first_step,
                                 **_stream_options(batch_size, drop_last, prefetch_blocks, shuffle, seed, window_rows))

    def __arrow_c_stream__(self, requested_schema=None):
        return self._handle.__arrow_c_stream__(requested_schema)

    def to_arrow(self):
        """Everything as a pyarrow Table."""
        import pyarrow as pa
        with self._handle.feed(**_stream_options(None, False, None, None, 0, 0)) as feed:  # errors stay ours
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


def packed(handle, tensor, nulls, batch_format):
    """The plan and the form of iter_batches: what `tensor` asks for is packed in C."""
    from . import _convert
    if tensor is None:
        return handle, _convert.former(batch_format, nulls)
    if isinstance(tensor, dict):
        for name, columns in tensor.items():
            handle = handle.pack(_names(columns), name, nulls=nulls)
        return handle, _convert.former(batch_format, nulls)
    if batch_format not in ('numpy', 'torch'):
        raise ValueError(f"tensor goes with batch_format 'numpy' or 'torch', not {batch_format!r}")
    names = _names(tensor)
    handle = handle.select(names).pack(names, 'tensor', nulls=nulls)
    one = _convert.array if batch_format == 'numpy' else _convert.torch_tensor
    return handle, lambda batch: one(batch['tensor'])


def _batches(handle, options, form):
    with handle.feed(**options) as feed:
        for batch in feed:
            yield form(batch)


def _rows(batch):
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
    if isinstance(items[0], dict):
        columns = {name: [row.get(name) for row in items] for name in dict.fromkeys(k for row in items for k in row)}
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
        first, *rest = [from_arrow(s) for s in source]
        return first.union(*rest) if rest else first
    if type(source).__module__.startswith('polars.'):  # its own strings are views, which no block has
        import polars
        source = source.to_arrow(compat_level=polars.CompatLevel.oldest())
    return Dataset(_core.from_arrow(runtime(), source))
