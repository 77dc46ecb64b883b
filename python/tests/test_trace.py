# SPDX-License-Identifier: Apache-2.0
"""Tracing: what is traced gives the bits of the function as written; what is not certain is refused without a call."""

import numpy as np
import pytest

import headrace as hr

pd = pytest.importorskip('pandas')
pytest.importorskip('cloudpickle')
SCALE = 3
TABLE = [1]


def frame():
    rng = np.random.default_rng(0)
    return pd.DataFrame({'x': rng.normal(size=300), 'i': rng.integers(-9, 9, 300), 'f': rng.normal(size=300).astype('f4'),
                         'b': rng.normal(size=300) > 0})


def store(df):
    df['x'] = df['x'] * SCALE
    df['new'] = df.i + 1
    return df


TRACED = {
    'whole frame': (lambda df: df[['x', 'i']] * 2, 'pandas'),
    'stores': (store, 'pandas'),
    'swap': (lambda df: df.assign(x=df.i, i=df.x), 'pandas'),
    'where': (lambda b: {'x': np.where(b['x'] > 0, b['x'], 0.0), 'i': b['i']}, 'numpy'),
    'minimum': (lambda b: {'m': np.minimum(b['x'], 0.5), 'a': np.abs(b['i'])}, 'numpy'),
    'cast': (lambda df: df.assign(x=df.x.astype('float32')), 'pandas'),
    'sqrt': (lambda b: {'s': np.sqrt(b['x'] * b['x'])}, 'numpy'),
    'drop': (lambda df: df.drop(columns=['b']) + 1, 'pandas'),
    'compare': (lambda df: df.assign(c=(df.x > 0) & ~(df.f < 0)), 'pandas'),
}
REFUSED = {
    'call of its own': (lambda df: store(df), 'pandas'),
    'mutable capture': (lambda df: df * TABLE[0], 'pandas'),
    'a method': (lambda df: df.cumsum(), 'pandas'),
    'mean': (lambda b: {'x': b['x'] - b['x'].mean()}, 'numpy'),
    'control flow': (lambda df: df if len(df) else None, 'pandas'),
    'random': (lambda b: {'x': b['x'] + np.random.rand()}, 'numpy'),
    'division by a column': (lambda b: {'x': b['i'] // b['i']}, 'numpy'),
}


@pytest.mark.parametrize('name', TRACED)
def test_traced_gives_the_same_bits(name):
    function, form = TRACED[name]
    data = frame()
    ds = hr.from_pandas(data)
    made = ds.map_batches(function, batch_format=form)
    assert 'traced, runs in C' in made.explain(), made.explain()
    written = ds.map_batches(function, batch_format=form, trace=False)
    pd.testing.assert_frame_equal(made.to_pandas(), written.to_pandas(), check_exact=True)


@pytest.mark.parametrize('name', REFUSED)
def test_refused_runs_as_written(name):
    function, form = REFUSED[name]
    made = hr.from_pandas(frame()[['x', 'i']]).map_batches(function, batch_format=form)
    assert 'runs as written' in made.explain()


def test_inspection_refuses_before_any_call():
    from headrace import _trace
    called = []

    def effect(df):
        called.append(1)
        return df
    with pytest.raises(_trace.Refused):
        _trace.inspected(effect)
    assert not called


def test_tensor_frames_double_as_in_the_guide():
    ds = hr.range_tensor(50, shape=(4, 2), blocks=5).map_batches(lambda df: df * 2, batch_format='pandas')
    assert 'traced' in ds.explain()
    assert (ds.take_batch(50)['data'] == 2 * np.arange(50).reshape(50, 1, 1)).all()


def test_nulls_in_floats_are_nan_as_in_pandas():
    pa = pytest.importorskip('pyarrow')
    table = pa.table({'x': pa.array([1.0, None, float('nan'), 2.0])})
    made = hr.from_arrow(table).map_batches(lambda df: df.assign(c=df.x > 1), batch_format='pandas')
    assert 'traced' in made.explain(), made.explain()
    assert made.to_pandas()['c'].tolist() == [False, False, False, True]


def test_integers_with_nulls_in_sight_are_refused():
    pa = pytest.importorskip('pyarrow')
    made = hr.from_arrow(pa.table({'i': pa.array([1, None, 3])})).map_batches(lambda df: df * 2, batch_format='pandas')
    assert 'runs as written' in made.explain()
