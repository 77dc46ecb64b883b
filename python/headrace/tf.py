# SPDX-License-Identifier: Apache-2.0
"""Batches as TensorFlow has them: numbers by DLPack or as NumPy views, without a copy; strings and binary as tf.string."""

import numpy as np
import tensorflow as tf

from . import _convert, _core, _types as t
from ._groups import Groups

_ALIGNED = 64  # TensorFlow's operations end the process over a tensor that begins elsewhere, as one inside of a block may
_TEXT = (t.STRING, t.BINARY, t.FIXED_BINARY, t.DICTIONARY)


def tensor(column, nulls='error'):
    kind = column.type_id
    if kind in t.NUMBERS or kind in (t.BOOL, t.TENSOR):
        memory = column.tensor(nulls=nulls, writable=True, alignment=_ALIGNED)
        return tf.experimental.dlpack.from_dlpack(memory.__dlpack__())
    return tf.constant(_array(column, nulls))


def _array(column, nulls):
    """As NumPy, where TensorFlow has such a type."""
    kind = column.type_id
    if kind not in t.NUMBERS and kind not in (t.BOOL, t.TENSOR):
        if kind not in _TEXT:
            raise _core.UnsupportedError(f"column '{column.name}' is {column.type}: TensorFlow has no such tensors; "
                                         'cast it, or leave it out with select_columns')
        if column.null_count:
            raise _core.InvalidError(f"column '{column.name}' has {column.null_count} nulls, and TensorFlow's strings have "
                                     'none: fill them first')
    return _convert.array(column, nulls)


def batch(batch, nulls='error'):
    return {c.name: tensor(c, nulls) for c in batch.columns()}


def placed(form, dtypes):
    """A form whose tensors are cast; nothing is done to those that are right already."""
    if dtypes is None:
        return form

    def cast(x, dtype):
        return x if dtype is None or x.dtype == tf.as_dtype(dtype) else tf.cast(x, dtype)

    return _convert.by_column(form, dtypes, cast)


def dataset(source, label, columns, signature, batch_size, nulls, order):
    """A tf.data.Dataset over passes of the source. It is fed NumPy views, which tf.data takes as they are."""
    groups, passes = Groups(columns, label), [0]
    fields = {name: _field(text, nulls) for name, text, _, _ in source._schema(batch_size, order).fields()}
    groups.resolve(fields)
    groups.check(fields)
    made = groups.shaped([_spec([fields[c] for c in g]) for g in groups.groups], tuple)
    if label is not None:
        made = (made, tf.TensorSpec((None, *fields[label][1]), fields[label][0]))
    signature = made if signature is None else _checked(signature, made)
    dtypes = tf.nest.map_structure(lambda spec: np.dtype(spec.dtype.as_numpy_dtype), signature)
    wanted = dtypes if label is None else dtypes[0]
    wanted = [wanted] if groups.keys is None else wanted if isinstance(groups.keys, int) else [wanted[k] for k in groups.keys]
    source, packs = groups.packed(source, nulls, lambda group, kinds: str(wanted[group]))

    def form(batch):
        made = [_convert.array(batch[packs[i]], nulls) if i in packs else
                _side_by_side([_array(batch[c], nulls) for c in g]) for i, g in enumerate(groups.groups)]
        made = groups.shaped(made, tuple)
        return made if label is None else (made, _array(batch[label], nulls))

    def epoch():
        passes[0] += 1
        for arrays in source._begin(form, batch_size, {**order, **source._next_pass(passes[0] - 1)}):
            yield tf.nest.map_structure(lambda a, d: a if d == object else a.astype(d, copy=False), arrays, dtypes)

    return tf.data.Dataset.from_generator(epoch, output_signature=signature)


def _side_by_side(arrays):
    """A tensor column as it is; else [rows, columns]."""
    if len(arrays) == 1 and arrays[0].ndim > 1:
        return arrays[0]
    return np.concatenate([a.reshape(len(a), -1) for a in arrays], axis=1) if len(arrays) > 1 else arrays[0][:, None]


def _field(text, nulls):
    """(type, shape of a row) of a column, by the name of its type."""
    shape = ()
    if text.startswith('tensor<'):
        text, _, dims = text[7:].partition('>')
        shape = tuple(int(n) for n in dims.strip('[]').split(','))
    if text not in t.BY_NAME:
        return tf.string, shape
    if nulls == 'nan' and t.BY_NAME[text] in t.INTEGERS:
        text = 'float32' if text in ('int8', 'int16', 'uint8', 'uint16') else 'float64'
    return tf.as_dtype(text), shape


def _checked(signature, made):
    """What the user gave, if the columns can be that."""
    try:
        tf.nest.map_structure(lambda a, b: a.shape.assert_is_compatible_with(b.shape), signature, made)
    except (TypeError, ValueError, AttributeError):
        raise ValueError(f'output_signature {signature}: the columns make {made}; types may differ, structure and shapes '
                         'may not') from None
    return signature


def _spec(fields):
    if len(fields) == 1 and fields[0][1]:
        return tf.TensorSpec((None, *fields[0][1]), fields[0][0])
    width = sum(int(np.prod(shape)) for _, shape in fields)
    kinds = [kind for kind, _ in fields]
    together = kinds[0] if tf.string in kinds else tf.as_dtype(np.result_type(*[k.as_numpy_dtype for k in kinds]))
    return tf.TensorSpec((None, width), together)
