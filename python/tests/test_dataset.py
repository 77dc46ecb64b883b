# SPDX-License-Identifier: Apache-2.0
"""Datasets from Python: sources, operations, forms; truth is NumPy, pandas and pyarrow."""

import datetime
import decimal

import numpy as np
import pytest

import headrace as hr

pd = pytest.importorskip('pandas')
pa = pytest.importorskip('pyarrow')
import pyarrow.parquet as pq  # noqa: E402


@pytest.fixture
def numbers():
    rng = np.random.default_rng(1)
    return {'x': rng.normal(size=1000), 'i': rng.integers(-50, 50, 1000), 'f': rng.normal(size=1000).astype('f4')}


def test_range_has_the_blocks_asked_for():
    ds = hr.range(1005, blocks=10)
    assert ds.num_blocks() == 11
    assert ds.count() == 1005
    assert [r['id'] for r in ds.take(3)] == [0, 1, 2]


def test_range_tensor_rows_hold_their_number():
    batch = hr.range_tensor(10, shape=(2, 3), blocks=5).take_batch(10)
    assert batch['data'].shape == (10, 2, 3) and batch['data'].dtype == np.int64
    assert (batch['data'] == np.arange(10).reshape(10, 1, 1)).all()


def test_operations_agree_with_pandas(numbers):
    frame = pd.DataFrame(numbers)
    ds = hr.from_pandas(frame).map('x = (x - 3) / 2; y = i * 2').filter(hr.col('i') > 0)
    ds = ds.add_column('z', hr.col('x') + 1.0).rename_columns({'f': 'g'}).drop_columns('i')
    want = frame.assign(x=(frame.x - 3) / 2, y=frame.i * 2)[frame.i > 0]
    want = want.assign(z=want.x + 1.0).rename(columns={'f': 'g'}).drop(columns='i').reset_index(drop=True)
    pd.testing.assert_frame_equal(ds.to_pandas(), want)


def test_limit_union_repartition_split():
    ds = hr.range(100, blocks=4)
    assert ds.limit(7).count() == 7
    assert [r['id'] for r in ds.limit(3).union(ds.limit(2)).take_all()] == [0, 1, 2, 0, 1]
    assert ds.repartition(7).num_blocks() == 7
    parts = ds.split(3, equal=True)
    assert [p.count() for p in parts] == [33, 33, 33]
    assert sum(p.count() for p in ds.split(3)) == 100


def test_batches_have_the_rows_asked_for():
    sizes = [len(b['id']) for b in hr.range(100, blocks=7).iter_batches(batch_size=32)]
    assert sizes == [32, 32, 32, 4]
    assert [len(b['id']) for b in hr.range(100).iter_batches(batch_size=32, drop_last=True)] == [32, 32, 32]
    assert sum(len(b['id']) for b in hr.range(100, blocks=7).iter_batches(batch_size=None)) == 100
    for ahead in (0, 1, 5, None):
        ids = np.concatenate([b['id'] for b in hr.range(100).iter_batches(batch_size=9, prefetch_blocks=ahead)])
        assert (ids == np.arange(100)).all()


def test_shuffles_permute_and_depend_on_the_seed_alone():
    def ids(**options):
        return np.concatenate([b['id'] for b in hr.range(5000, blocks=50).iter_batches(batch_size=64, **options)])
    one, again, other = ids(shuffle='window', seed=3), ids(shuffle='window', seed=3), ids(shuffle='window', seed=4)
    assert (one == again).all() and (one != other).any()
    assert (np.sort(one) == np.arange(5000)).all()
    assert (np.sort(ids(shuffle='blocks', seed=1)) == np.arange(5000)).all()


def test_tensor_packs_columns_side_by_side(numbers):
    ds = hr.from_numpy(numbers)
    got = np.concatenate(list(ds.iter_batches(batch_size=100, tensor=['x', 'i', 'f'])))
    want = np.stack([numbers['x'].astype('f4'), numbers['i'].astype('f4'), numbers['f']], axis=1)
    assert got.dtype == np.float32 and (got == want).all()
    batch = next(iter(ds.iter_batches(batch_size=10, tensor={'in': ['x', 'f']})))
    assert batch['in'].shape == (10, 2) and 'i' in batch


def test_nulls_are_a_choice():
    ds = hr.from_arrow(pa.table({'a': pa.array([1, None, 3]), 'f': pa.array([1.0, None, 2.0], pa.float32())}))
    with pytest.raises(ValueError, match="'a'"):
        list(ds.iter_batches())
    batch = next(ds.iter_batches(nulls='nan'))
    assert batch['a'].dtype == np.float64 and np.isnan(batch['a'][1])
    assert batch['f'].dtype == np.float32
    assert next(ds.iter_batches(nulls=7))['a'].tolist() == [1, 7, 3]


def all_types():
    t = datetime
    return pa.table({
        'bool': pa.array([True, None, False]), 'i8': pa.array([1, None, -3], pa.int8()),
        'u64': pa.array([1, 2**64 - 1, None], pa.uint64()), 'f16': pa.array(np.array([1, 2, 3], 'f2')),
        'f64': pa.array([1.5, None, float('nan')]), 's': pa.array(['a', None, 'über']),
        'ls': pa.array(['a', None, 'b'], pa.large_string()), 'b': pa.array([b'\0a', None, b'']),
        'fb': pa.array([b'ab', b'cd', None], pa.binary(2)), 'd': pa.array([t.date(2020, 1, 2), None, t.date(1960, 1, 1)]),
        't32': pa.array([1, None, 3], pa.time32('s')), 't64': pa.array([1, None, 3], pa.time64('us')),
        'ts': pa.array([1, None, -5], pa.timestamp('ns')), 'tz': pa.array([1, 2, None], pa.timestamp('us', 'Europe/Berlin')),
        'du': pa.array([1, None, 3], pa.duration('ms')),
        'dec': pa.array([decimal.Decimal('1.25'), None, decimal.Decimal('-3.50')], pa.decimal128(10, 2)),
        'li': pa.array([[1, 2], None, []], pa.list_(pa.int32())),
        'dict': pa.array(['x', None, 'x']).dictionary_encode(),
    })


def test_arrow_comes_back_as_it_went():
    table = all_types()
    back = hr.from_arrow(table).to_arrow()
    for name in table.column_names:
        assert back[name].to_pylist() == table[name].to_pylist() or name == 'f64', name
    assert str(back['f64'].to_pylist()) == str(table['f64'].to_pylist())


def test_pandas_form_agrees_with_pyarrow():
    table = all_types().drop_columns(['dict', 'li'])
    ours, theirs = hr.from_arrow(table).to_pandas(), table.to_pandas()
    for name in table.column_names:
        pd.testing.assert_series_equal(ours[name], theirs[name], check_names=False, check_dtype=name not in ('ts', 'tz'))


def test_pandas_frames_come_back_as_they_went():
    frame = pd.DataFrame({'a': [1, 2], 'b': [True, False], 's': ['x', None], 'f': np.array([1, 2], 'f4'),
                          't': pd.to_datetime(['2020-01-01', None]), 'z': pd.to_datetime(['2020-01-01', '2021-05-05'], utc=True),
                          'v': [np.ones(3), np.zeros(3)]})
    back = hr.from_pandas(frame).to_pandas()
    for name in frame:
        if name == 'v':
            assert all((a == b).all() for a, b in zip(back.v, frame.v))
        else:
            pd.testing.assert_series_equal(back[name], frame[name])


def test_items_make_columns():
    ds = hr.from_items([{'a': 1, 'b': [1, 2], 'c': 'x'}, {'a': None, 'b': [3], 'c': None}])
    rows = ds.take_all()
    assert rows[0]['a'] == 1 and rows[1]['a'] is None or np.isnan(rows[1]['a'])
    assert rows[1]['b'].tolist() == [3] and rows[1]['c'] is None
    assert hr.from_items([1, 2, 3]).columns() == ['item']
    for mixed in ([1, 'a', None], [b'x', 'y'], [1.5, b'x'], ['a', 1]):
        with pytest.raises(TypeError, match="column 'item': a value of"):
            hr.from_items(mixed)


def test_parquet_round_trip(tmp_path, numbers):
    pq.write_table(pa.table({**numbers, 's': [str(i) for i in range(1000)]}), tmp_path / 'a.parquet', row_group_size=300)
    ds = hr.read_parquet(tmp_path / 'a.parquet')
    assert ds.count() == 1000 and ds.columns() == ['x', 'i', 'f', 's']
    assert ds.map('x = x * 2').write_parquet(tmp_path / 'out') == 1000
    back = pq.read_table(tmp_path / 'out')
    assert (back['x'].to_numpy() == numbers['x'] * 2).all()
    assert hr.read_parquet(str(tmp_path / 'out'), columns=['s']).to_arrow()['s'].to_pylist()[:2] == ['0', '1']


def test_materialize_keeps_rows():
    ds = hr.range(1000, blocks=4).map('id = id * 2').materialize()
    assert ds.is_fully_executed() and ds.count() == 1000
    assert [r['id'] for r in ds.take(3)] == [0, 2, 4]


def test_errors_are_what_python_catches(tmp_path):
    ds = hr.range(10)
    with pytest.raises(hr.NotFoundError, match='there are: id') as caught:
        ds.select_columns(['nope']).count()
    assert isinstance(caught.value, KeyError) and caught.value.status == 'NOT_FOUND'
    with pytest.raises(FileNotFoundError):
        hr.read_parquet(tmp_path / 'nothing.parquet')
    (tmp_path / 'bad.parquet').write_bytes(b'PAR1' + b'\xff' * 100 + b'PAR1')
    with pytest.raises(hr.CorruptError, match='bad.parquet'):
        hr.read_parquet(tmp_path / 'bad.parquet')
    with pytest.raises(ValueError):
        hr.col('x').parse('x +')
    with pytest.raises(TypeError, match='truth value'):
        bool(hr.col('x') > 3)


def test_polars_and_duckdb_enter_by_arrow():
    pl = pytest.importorskip('polars')
    assert hr.from_arrow(pl.DataFrame({'a': [1, 2], 's': ['x', 'y']})).take_all() == [{'a': 1, 's': 'x'}, {'a': 2, 's': 'y'}]
    duckdb = pytest.importorskip('duckdb')
    assert hr.from_arrow(duckdb.sql('select 1 as a').to_arrow_table()).take_all() == [{'a': 1}]


def test_torch_batches_are_writable_and_nobody_elses():
    torch = pytest.importorskip('torch')
    ds = hr.range_tensor(64, shape=(4,), blocks=1).materialize()
    for batch in ds.iter_torch_batches(batch_size=16):
        assert batch['data'].dtype == torch.int64
        batch['data'] += 1_000_000
    assert (ds.take_batch(64)['data'][:, 0] == np.arange(64)).all()


def test_what_was_written_into_a_torch_batch_stays_there():
    pytest.importorskip('torch')
    ds = hr.range_tensor(64, shape=(512,), blocks=1).materialize()
    batches = ds.iter_torch_batches(batch_size=16)
    first, second = next(batches)['data'], next(batches)['data']
    first[:] = -1
    second[:] = -2
    del second
    third = next(batches)['data']
    assert (first == -1).all() and (third[:, 0].numpy() == np.arange(32, 48)).all()
    again = next(ds.iter_torch_batches(batch_size=16))['data']
    assert (again[:, 0].numpy() == np.arange(16)).all()


def write_lists(folder, *files):
    """A file a list of lists, in their order; the paths."""
    for i, rows in enumerate(files):
        pq.write_table(pa.table({'x': pa.array(rows, pa.list_(pa.float32()))}), folder / f'{i}.parquet')
    return str(folder)


def test_lists_of_later_files_are_what_the_first_file_s_are(tmp_path):
    even, ragged = [[1.0, 2.0], [3.0, 4.0]], [[1.0], [2.0, 3.0, 4.0]]
    for name, files in (('even', (even, even)), ('ragged', (ragged, even))):
        folder = tmp_path / name
        folder.mkdir()
        assert hr.read_parquet(write_lists(folder, *files)).to_arrow()['x'].to_pylist() == [row for file in files for row in file]


def test_a_later_file_of_other_lists_is_named(tmp_path):
    longer, ragged = [[1.0, 2.0, 3.0]], [[1.0], [2.0, 3.0, 4.0]]  # two items a row, going by the footer
    for name, other in (('longer', longer), ('ragged', ragged)):
        folder = tmp_path / name
        folder.mkdir()
        data = write_lists(folder, [[1.0, 2.0]], other)
        with pytest.raises(hr.Error, match=r'1\.parquet'):
            hr.read_parquet(data).to_arrow()
