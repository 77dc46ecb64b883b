# SPDX-License-Identifier: Apache-2.0
"""Batches to and from NumPy, pandas, pyarrow and torch (tf.py and jax.py have theirs). Dense columns are shared, not
copied; what no array holds goes through Python values. Imported only where one of these forms is asked for.

    type                NumPy                       pandas                        torch
    numbers, tensors    the same, read-only view    the same; tensors as objects  the same, writable, copied on write
    nulls in numbers    by `nulls`                  NaN (integers: float64)       by `nulls`
    bool                bool                        bool, object with nulls       bool
    timestamp, duration datetime64, timedelta64     the same, with time zone      refused: cast first
    date, time          datetime64[D], objects      objects                       refused
    string, binary      objects                     str, objects                  refused
    decimal, list       objects                     objects                       refused
"""

import datetime
import decimal
import functools

import numpy as np

from . import _core, _types as t

_DTYPES = {np.dtype(name): number for name, number in t.BY_NAME.items() if name not in ('bfloat16', 'int', 'float')}
_TIMES = {t.TIMESTAMP: 'M8', t.DURATION: 'm8'}


# --- out of batches ---

def _valid(column):
    return np.frombuffer(column.valid(), dtype=np.bool_)


def _times(column):
    """Times as datetime64 or timedelta64, NaT where there is none."""
    raw = np.asarray(column.tensor(nulls='raw'))
    if column.type_id == t.DATE32:
        out = raw.astype('M8[D]')
    else:
        out = raw.view(f'{_TIMES[column.type_id]}[{column.unit}]')
    if column.null_count:
        out = np.where(_valid(column), out, np.array('NaT', dtype=out.dtype))
    return out


def _clock(column, value):
    if value is None:
        return None
    per_second = 1000 ** t.UNITS.index(column.unit)
    seconds, rest = divmod(value, per_second)
    micros = rest * 1_000_000 // per_second
    return (datetime.datetime.min + datetime.timedelta(seconds=seconds, microseconds=micros)).time()


def values(column):
    """Python values of a column: what iter_rows and object arrays hold."""
    kind = column.type_id
    if kind == t.TENSOR:
        return list(np.asarray(column.tensor(nulls='raw'))) if not column.null_count else [
            row if ok else None for row, ok in zip(np.asarray(column.tensor(nulls='raw')), _valid(column))]
    if kind in (t.DECIMAL128, t.DECIMAL256):
        scale = -int(column.type.rstrip(')').split(',')[1])
        wide = decimal.Context(prec=80)
        return [None if v is None else decimal.Decimal(v).scaleb(scale, wide) for v in column.values()]
    if kind == t.DATE32:
        return [None if v is None else datetime.date(1970, 1, 1) + datetime.timedelta(days=v) for v in column.values()]
    if kind in (t.TIME32, t.TIME64):
        return [_clock(column, v) for v in column.values()]
    if kind in (t.TIMESTAMP, t.DURATION):
        return list(series(column))
    if kind == t.LIST and column.item_type_id in t.NUMBERS:
        return [None if v is None else np.array(v, dtype=_name_of(column.item_type_id)) for v in column.values()]
    return column.values()


def _name_of(kind):
    return next(name for name, number in t.BY_NAME.items() if number == kind)


def _objects(items):
    out = np.empty(len(items), dtype=object)
    for i, item in enumerate(items):  # a slice assignment would look into arrays and lists
        out[i] = item
    return out


def array(column, nulls='error', writable=False):
    """A column as a NumPy array; see the table above."""
    kind = column.type_id
    if kind in t.NUMBERS or kind in (t.BOOL, t.TENSOR):
        return np.asarray(column.tensor(nulls=nulls, writable=writable))
    if kind in _TIMES or kind == t.DATE32:
        return _times(column)
    return _objects(values(column))


def numpy_batch(batch, nulls='error', writable=False):
    return {c.name: array(c, nulls, writable) for c in batch.columns()}


def series(column):
    """A column as a pandas Series."""
    import pandas as pd
    kind = column.type_id
    if kind == t.TENSOR:
        return pd.Series(values(column), dtype=object)
    if kind in t.NUMBERS or kind == t.BOOL:
        raw = np.asarray(column.tensor(nulls='raw'))
        if not column.null_count:
            return pd.Series(raw, copy=False)
        if kind == t.BOOL:
            return pd.Series(column.values(), dtype=object)
        wide = raw if kind in t.FLOATS else raw.astype(np.float64)
        return pd.Series(np.where(_valid(column), wide, np.array(np.nan, dtype=wide.dtype)))
    if kind in _TIMES:
        out = pd.Series(_times(column))
        return out.dt.tz_localize('UTC').dt.tz_convert(column.timezone) if column.timezone else out
    if kind == t.STRING or kind == t.DICTIONARY:
        return pd.Series(column.values()) if len(column) else pd.Series([], dtype='str')
    return pd.Series(_objects(values(column)), dtype=object)


def pandas_batch(batch):
    import pandas as pd
    columns = {c.name: series(c) for c in batch.columns()}
    return pd.DataFrame(columns, copy=False) if columns else pd.DataFrame(index=range(len(batch)))


def arrow_batch(batch):
    import pyarrow as pa
    return pa.Table.from_batches([pa.record_batch(batch)])


@functools.cache
def of_capsule():
    """torch's function from a DLPack capsule to a tensor. torch.utils.dlpack.from_dlpack calls it too, after a look at what it
    was given that takes half of its 1.4 us."""
    import torch.utils.dlpack
    return getattr(torch._C, '_from_dlpack', torch.utils.dlpack.from_dlpack)


def torch_tensor(column, nulls='error'):
    kind = column.type_id
    if kind not in t.NUMBERS and kind not in (t.BOOL, t.TENSOR):
        raise _core.UnsupportedError(f"column '{column.name}' is {column.type}: torch has no such tensors; "
                                     'cast it, or leave it out with select_columns')
    return of_capsule()(column.tensor(nulls=nulls, writable=True).__dlpack__())


def _torch_form(nulls):
    make = of_capsule()
    return lambda batch: batch.dlpacks(make, nulls)


def by_column(form, dtypes, move):
    """A form whose arrays go through move(array, dtype). dtypes: one for all, or a dict by column, whose names are checked
    with the first batch."""
    unchecked = set(dtypes) if isinstance(dtypes, dict) else set()

    def run(batch):
        made = form(batch)
        there = made if isinstance(made, dict) else {'tensor': made}
        if unchecked:
            unknown = unchecked.difference(there)
            if unknown:
                raise _core.NotFoundError(f'dtypes has no column {unknown.pop()!r}: there are {", ".join(there)}')
            unchecked.clear()
        if not isinstance(dtypes, dict):
            return {n: move(x, dtypes) for n, x in made.items()} if there is made else move(made, dtypes)
        there = {n: move(x, dtypes.get(n)) for n, x in there.items()}
        return there if isinstance(made, dict) else there['tensor']

    return run


def _tf_batch(batch, nulls):
    from . import tf
    return tf.batch(batch, nulls)


def _jax_batch(batch, nulls):
    from . import jax
    return jax.batch(batch, nulls)


def former(batch_format, nulls='error'):
    """The function that turns a Batch into this form."""
    if batch_format == 'torch':
        return _torch_form(nulls)
    forms = {'numpy': lambda b: numpy_batch(b, nulls), 'pandas': pandas_batch, 'pyarrow': arrow_batch,
             'tf': lambda b: _tf_batch(b, nulls), 'jax': lambda b: _jax_batch(b, nulls), None: lambda b: b}
    if batch_format not in forms:
        raise ValueError(f"batch_format {batch_format!r}: 'numpy', 'pandas', 'pyarrow', 'torch', 'tf', 'jax' or None")
    return forms[batch_format]


def packed_former(packs, batch_format, nulls, others):
    """As former, where the feed could not lay columns side by side: [(columns, name, type id), ...] as float32."""
    named = {c for columns, _, _ in packs for c in columns}
    if batch_format not in ('numpy', 'torch', 'tf', 'jax'):
        raise ValueError(f"tensor goes with batch_format 'numpy', 'torch', 'tf' or 'jax' here, not {batch_format!r}")

    def run(batch):
        made = {c.name: array(c, nulls) for c in batch.columns() if others and c.name not in named}
        for columns, name, _ in packs:
            parts = [array(batch[c], nulls) for c in columns]
            made[name] = np.concatenate([p.reshape(len(p), -1).astype(np.float32) for p in parts], axis=1)
        return batch_of[batch_format](made)

    def torch_of(made):
        import torch
        return {n: torch.tensor(a) if not a.flags.writeable else torch.from_numpy(a) for n, a in made.items()}

    def tf_of(made):
        import tensorflow as tf
        return {n: tf.convert_to_tensor(a) for n, a in made.items()}

    def jax_of(made):
        import jax.numpy as jnp
        return {n: jnp.asarray(a) for n, a in made.items()}

    batch_of = {'numpy': dict, 'torch': torch_of, 'tf': tf_of, 'jax': jax_of}
    return run


# --- into batches ---

def _of_array(name, a, valid=None):
    a = np.asarray(a)
    if a.ndim == 0:
        raise ValueError(f"column '{name}' is a single value: an array with a first dimension of rows is needed")
    if a.dtype.kind in 'mM':
        unit = np.datetime_data(a.dtype)[0]
        kind = t.TIMESTAMP if a.dtype.kind == 'M' else t.DURATION
        missing = np.isnat(a)
        valid = (~missing).view(np.uint8) if missing.any() else None
        if unit == 'D':
            return (name, t.DATE32, 0, None, np.ascontiguousarray(a.astype('i8').astype('i4')), valid, ())
        if unit not in t.UNITS:
            a, unit = a.astype(f'{a.dtype.kind}8[s]'), 's'
        return (name, kind, t.UNITS.index(unit), None, np.ascontiguousarray(a).view('i8'), valid, a.shape[1:])
    if a.dtype.kind in 'OUST':
        return _of_objects(name, a.tolist() if a.ndim == 1 else list(a))
    if a.dtype.newbyteorder('=') not in _DTYPES:
        raise TypeError(f"column '{name}': arrays of {a.dtype} have no column type")
    kind = _DTYPES[a.dtype.newbyteorder('=')]
    a = np.ascontiguousarray(a, dtype=a.dtype.newbyteorder('='))
    if kind == t.BOOL:
        a = a.view(np.uint8)
    return (name, kind, 0, None, a, valid, a.shape[1:])


def _of_lists(name, items):
    """Rows that are arrays or lists: a tensor column where all have one shape, else lists of numbers."""
    rows = [None if v is None else np.asarray(v) for v in items]
    present = [r for r in rows if r is not None]
    if len(present) == len(rows) and len({r.shape for r in rows}) == 1 and rows[0].ndim:
        return _of_array(name, np.stack(rows))
    if any(r.ndim != 1 for r in present):
        raise TypeError(f"column '{name}': rows of several shapes need to be flat lists of numbers")
    flat = np.concatenate(present) if present else np.empty(0)
    ends = np.cumsum([0] + [0 if r is None else len(r) for r in rows], dtype=np.int64)
    kind = _DTYPES.get(flat.dtype)
    if kind is None or kind == t.BOOL:
        raise TypeError(f"column '{name}': lists of {flat.dtype} have no column type")
    valid = None if len(present) == len(rows) else np.array([r is not None for r in rows], dtype=np.uint8)
    return (name, t.LIST, kind, ends, np.ascontiguousarray(flat), valid)


def _of_objects(name, items):
    """A list of Python values; the first one that is there tells the type. None where it needs pyarrow."""
    first = next((v for v in items if v is not None), None)
    if isinstance(first, str):
        return (name, t.STRING, items)
    if isinstance(first, (bytes, bytearray)):
        _refuse(name, first, (v for v in items if v is not None and not isinstance(v, (bytes, bytearray))))
        return (name, t.BINARY, [None if v is None else bytes(v) for v in items])
    if isinstance(first, (np.ndarray, list, tuple)):
        return _of_lists(name, items)
    if isinstance(first, (bool, int, float, np.generic)):
        _refuse(name, first, (v for v in items if isinstance(v, (str, bytes))))  # NumPy would make all of them text
        missing = [v is None for v in items]
        if not any(missing):
            made = np.asarray(items)
            return None if made.dtype == object else _of_array(name, made)
        if isinstance(first, (bool, np.bool_)) or not isinstance(first, (int, float, np.number)):
            filler = first
        else:
            filler = 0
        made = np.asarray([filler if v is None else v for v in items])
        return None if made.dtype == object else _of_array(name, made, np.array([not m for m in missing], np.uint8))
    return None


def _refuse(name, first, others):
    for v in others:
        raise TypeError(f'column {name!r}: a value of {type(v)} where the others are {type(first).__name__}')


def batch_of_numpy(columns):
    """A Batch of a dict of arrays (or of lists)."""
    made = [_of_objects(str(n), a) if isinstance(a, list) else _of_array(str(n), a) for n, a in columns.items()]
    if all(m is not None for m in made):
        return _core.batch_from_columns(made)
    import pyarrow as pa
    return _core.batch_from_arrow(pa.record_batch({str(n): pa.array(a) for n, a in columns.items()}))


def _of_series(name, s):
    import pandas as pd
    dtype = s.dtype
    if isinstance(dtype, np.dtype) and dtype.kind != 'O':
        return _of_array(name, s.to_numpy())
    if isinstance(dtype, pd.DatetimeTZDtype):
        made = _of_array(name, s.dt.tz_convert('UTC').dt.tz_localize(None).to_numpy())
        return made[:3] + (str(dtype.tz),) + made[4:]
    if isinstance(dtype, np.dtype) or isinstance(dtype, pd.StringDtype):
        return _of_objects(name, s.astype(object).where(s.notna(), None).tolist())
    return None


def batch_of_pandas(frame):
    """A Batch of a DataFrame; its index is left out."""
    made = [_of_series(str(name), frame.iloc[:, i]) for i, name in enumerate(frame.columns)]
    if all(m is not None for m in made):
        return _core.batch_from_columns(made)
    import pyarrow as pa
    frame = frame.set_axis([str(n) for n in frame.columns], axis=1)
    return _core.batch_from_arrow(pa.RecordBatch.from_pandas(frame, preserve_index=False))


def _of_table(table):
    import pyarrow as pa
    if isinstance(table, pa.Table):
        batches = table.combine_chunks().to_batches()
        table = batches[0] if batches else pa.RecordBatch.from_pydict({n: [] for n in table.column_names},
                                                                      schema=table.schema)
    return _core.batch_from_arrow(table)


def to_batch(result, who='the function'):
    """A Batch of what a user's function returned."""
    if isinstance(result, _core.Batch):
        return result
    if isinstance(result, dict):
        return batch_of_numpy(result)
    if hasattr(result, 'iloc') and hasattr(result, 'columns'):
        return batch_of_pandas(result)
    if hasattr(result, '__arrow_c_array__') or hasattr(result, '__arrow_c_stream__'):
        return _of_table(result)
    if isinstance(result, np.ndarray):
        return batch_of_numpy({'data': result})
    raise ValueError(f'{who} returned {type(result).__name__}: a dict of arrays, a DataFrame or an Arrow table is needed')
