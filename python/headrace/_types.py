# SPDX-License-Identifier: Apache-2.0
"""Type ids of the block format (headrace/schema.h) and the names NumPy has for them. Imports nothing."""

NULL, BOOL, INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64 = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9
FLOAT16, BFLOAT16, FLOAT32, FLOAT64 = 10, 11, 12, 13
DATE32, TIME32, TIME64, TIMESTAMP, DURATION = 14, 15, 16, 17, 18
DECIMAL128, DECIMAL256, FIXED_BINARY, BINARY, STRING, LIST, TENSOR, DICTIONARY = 19, 20, 21, 22, 23, 24, 25, 26

BY_NAME = {'bool': BOOL, 'int8': INT8, 'int16': INT16, 'int32': INT32, 'int64': INT64, 'uint8': UINT8,
           'uint16': UINT16, 'uint32': UINT32, 'uint64': UINT64, 'float16': FLOAT16, 'bfloat16': BFLOAT16,
           'float32': FLOAT32, 'float64': FLOAT64, 'float': FLOAT64, 'int': INT64}
NUMBERS = frozenset(range(INT8, FLOAT64 + 1))
INTEGERS = frozenset(range(INT8, UINT64 + 1))
FLOATS = frozenset((FLOAT16, BFLOAT16, FLOAT32, FLOAT64))
UNITS = ('s', 'ms', 'us', 'ns')


def number_id(name):
    """The id of a number type by its name, or of anything that str() names so (a NumPy dtype, a class)."""
    key = getattr(name, '__name__', None) or str(name)
    if key.startswith('torch.'):
        key = key[6:]
    if key not in BY_NAME:
        raise ValueError(f'unknown type {name!r}: one of {", ".join(BY_NAME)}')
    return BY_NAME[key]
