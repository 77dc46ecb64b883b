# SPDX-License-Identifier: Apache-2.0
"""Batches as JAX has them, by DLPack: in the batches' own memory, if JAX keeps the type (64 bits: jax_enable_x64)."""

import jax

from . import _convert, _core, _types as t


def array(column, nulls='error'):
    kind = column.type_id
    if kind not in t.NUMBERS and kind not in (t.BOOL, t.TENSOR):
        raise _core.UnsupportedError(f"column '{column.name}' is {column.type}: JAX has no such arrays; "
                                     'cast it, or leave it out with select_columns')
    return jax.dlpack.from_dlpack(column.tensor(nulls=nulls, writable=True))


def batch(batch, nulls='error'):
    return {c.name: array(c, nulls) for c in batch.columns()}


def placed(form, dtypes, device):
    """A form whose arrays are cast and moved. Nothing is done to those that are right already."""
    if dtypes is None and device is None:
        return form

    def move(x, dtype):
        x = x if dtype is None else x.astype(dtype)
        return x if device is None else jax.device_put(x, device)

    return _convert.by_column(form, dtypes, move)
