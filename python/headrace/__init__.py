# SPDX-License-Identifier: Apache-2.0
"""Training-data ingest at the speed of the machine: read, preprocess, feed.

    import headrace as hr
    for batch in hr.read_parquet("trips/").map("fare = log1p(fare)").iter_batches(batch_size=4096):
        ...

The work is done in C; NumPy, pandas, pyarrow and torch are imported when something is asked for in their form.
"""

from ._core import (CancelledError, CorruptError, DeniedError, Error, Expr, FunctionError, InvalidError, LimitError,
                    NoMemoryError, NotFoundError, Schema, StorageError, TimeoutError, UnsupportedError)
from ._core import version as _version
from ._expr import col, lit, where
from ._runtime import init, memory_summary, options, runtime, shutdown
from .dataset import (Dataset, from_arrow, from_items, from_numpy, from_pandas, range, range_tensor, read_parquet)

__version__ = _version()
__all__ = [
    'CancelledError', 'CorruptError', 'Dataset', 'DeniedError', 'Error', 'Expr', 'FunctionError', 'InvalidError',
    'LimitError', 'NoMemoryError', 'NotFoundError', 'Schema', 'StorageError', 'TimeoutError', 'UnsupportedError',
    'col', 'from_arrow', 'from_items', 'from_numpy', 'from_pandas', 'init', 'lit', 'memory_summary', 'options',
    'range', 'range_tensor', 'read_parquet', 'runtime', 'shutdown', 'where',
]


def __getattr__(name):
    if name in ('preprocessors', 'train', 'tune'):
        import importlib
        return importlib.import_module('.' + name, __name__)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
