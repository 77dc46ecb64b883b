# SPDX-License-Identifier: Apache-2.0
"""Every file of apache/parquet-testing: the values of pyarrow, or UNSUPPORTED by name, or CORRUPT with the place, as
tests/data/parquet_testing.tsv has it. Skipped by name where the files are not beside the repository."""

import math
import os

import pytest

import headrace as hr

pa = pytest.importorskip('pyarrow')
import pyarrow.parquet as pq  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDERS = (os.environ.get('HEADRACE_PARQUET_TESTING', ''),
           os.path.join(os.path.dirname(ROOT), 'shared', 'data', 'parquet-testing'))
FILES = next((f for f in FOLDERS if f and os.path.isdir(f)), None)
TABLE = os.path.join(ROOT, 'tests', 'data', 'parquet_testing.tsv')


def rows_of_table():
    with open(TABLE, encoding='utf-8') as f:
        for line in f:
            if line.strip() and not line.startswith('#'):
                name, plain, checked, note = (line.rstrip('\n').split('\t') + [''])[:4]
                yield name, plain, checked, note


def read(path, verify):
    table = hr.read_parquet(path, verify_checksums=verify, ragged=True).to_arrow()
    return table


def same(a, b):
    if isinstance(a, float) and isinstance(b, float):
        return a == b or (math.isnan(a) and math.isnan(b))
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def column_values(table, name):
    column = table[name]
    if pa.types.is_timestamp(column.type):  # beyond what datetime holds; pyarrow makes INT96 nanoseconds
        return column.cast(pa.timestamp('ns'), safe=False).cast(pa.int64()).to_pylist()
    if pa.types.is_time(column.type) or pa.types.is_duration(column.type):
        return column.cast(pa.int64() if column.type.bit_width == 64 else pa.int32()).to_pylist()
    return column.to_pylist()


@pytest.mark.skipif(FILES is None, reason='the files of parquet-testing are not beside the repository')
@pytest.mark.parametrize('verify', [False, True], ids=['plain', 'checksums'])
@pytest.mark.parametrize('name,plain,checked,note', list(rows_of_table()), ids=lambda v: v.split('/')[-1][:40])
def test_file(name, plain, checked, note, verify):
    path, outcome = os.path.join(FILES, name), checked if verify else plain
    if outcome == 'CORRUPT':
        with pytest.raises(hr.CorruptError, match=os.path.basename(name)):
            read(path, verify)
        return
    if outcome == 'UNSUPPORTED':
        with pytest.raises(hr.UnsupportedError):
            read(path, verify)
        return
    ours, theirs = read(path, verify), pq.read_table(path)
    assert ours.num_rows == theirs.num_rows
    for column in theirs.column_names:
        if f"column '{column}'" in note and 'page' not in note:
            assert column not in ours.column_names
            continue
        a, b = column_values(ours, column), column_values(theirs, column)
        assert len(a) == len(b) and all(map(same, a, b)), column
