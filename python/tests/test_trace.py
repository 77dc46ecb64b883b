# SPDX-License-Identifier: Apache-2.0
"""Tracing: what runs in C gives the bits that pandas and NumPy give, and what is not known to do so is never called."""

import functools
import math
import random

import pytest

import headrace as hr

np = pytest.importorskip('numpy')
pd = pytest.importorskip('pandas')
pa = pytest.importorskip('pyarrow')

from headrace import _convert  # noqa: E402
from headrace._trace import trace  # noqa: E402

ROWS = 300


def frame():
    rng = np.random.default_rng(7)
    return pd.DataFrame({'a': rng.integers(-50, 50, ROWS), 'b': rng.normal(size=ROWS),
                         'f': rng.normal(size=ROWS).astype(np.float32), 'u': rng.integers(0, 255, ROWS).astype(np.uint8)})


def found(fn, data=None, batch_format='pandas'):
    data = frame() if data is None else data
    return trace(fn, _convert.batch_of_pandas(data).schema, lambda: data, batch_format)


def assert_runs_as_written(fn, data=None):
    """Traced, and the plan gives what pandas gives."""
    data = frame() if data is None else data
    result = found(fn, data)
    assert not result.reason
    made = hr.from_pandas(data)
    got = hr.Dataset(result.apply(made._handle)).to_pandas()
    pd.testing.assert_frame_equal(got, fn(data.copy()).reset_index(drop=True), check_exact=True)


def in_place(df):
    df['a'] += 1
    df['n'] = df['a'] * 2 + df['f']
    del df['f']
    return df


def loop_over_names(df):
    for name in ('a', 'b'):
        df[name] = df[name] * 2 + 1
    return df


def swap(df):
    df['a'], df['b'] = df['b'], df['a']
    return df


def filter_then_assign(df):
    df['a'] = df['a'] + 1
    df = df[(df['a'] > 2) & ~(df.b > 0.5)]
    df = df[df.u != 7]
    return df.assign(q=df['a'] * 2)


SCALE = 3
COLUMNS = ['a']


def times(k):
    return lambda df: df * k


TRACED = {
    'times': lambda df: df * 2, 'plus': lambda df: 1 + df, 'minus': lambda df: 1.5 - df, 'negative': lambda df: -df,
    'square': lambda df: df ** 2, 'half': lambda df: df / 2, 'floor': lambda df: df // 2, 'modulo': lambda df: df % 3,
    'global': lambda df: df * SCALE, 'closure': times(2.5), 'numpy scalar': times(np.float64(0.5)),
    'default': lambda df, k=2: df * k, 'mul': lambda df: df.mul(2),
    'assign': lambda df: df.assign(c=df.a * 2 + df['b'], a=abs(df.a)), 'constant': lambda df: df.assign(c=1, d=0.5, e=True),
    'select': lambda df: df[['b', 'a']], 'drop': lambda df: df.drop(columns=['a', 'u']), 'drop axis': lambda df: df.drop('a', axis=1),
    'rename': lambda df: df.rename(columns={'a': 'z'}), 'astype': lambda df: df.astype({'a': 'float32', 'u': np.int64}),
    'float': lambda df: df.astype(float), 'clip': lambda df: df.assign(b=df.b.clip(0, 1), a=df.a.clip(lower=3)),
    'where': lambda df: df.assign(c=np.where(df.a > 0, df.b, 0.0)), 'log1p': lambda df: df.assign(b=np.log1p(np.abs(df.b))),
    'sqrt': lambda df: np.sqrt(df[['b']]), 'minimum': lambda df: df.assign(b=np.minimum(df.b, 0.25)),
    'fillna': lambda df: df.fillna(0), 'isna': lambda df: df.assign(m=df.b.isna(), n=df.b.notna()),
    'conditions': lambda df: df.assign(m=(df.a > 3) | (df.b <= df.f)), 'filter': lambda df: df[df['a'] > 3],
    'nothing left': lambda df: df[df['a'] > 1000], 'math': lambda df: df[['b']] * math.pi, 'round': lambda df: df.round(),
    'copy': lambda df: df.copy(), 'in place': in_place, 'loop': loop_over_names, 'swap': swap, 'filter, assign': filter_then_assign,
}


@pytest.mark.parametrize('fn', TRACED.values(), ids=TRACED.keys())
def test_what_is_traced_gives_the_bits_of_pandas(fn):
    assert_runs_as_written(fn)


def test_a_condition_is_a_predicate():
    result = found(lambda df: (df['a'] > 3) & (df.u < 100))
    assert result.assignments is None and not result.reason
    assert str(result.predicate) == 'a > 3 and u < 100'


calls = []


def has_effects(df):
    calls.append(1)
    return df


def decides(df):
    if df['a'].sum() > 0:
        return df
    return df * 2


def endless(df):
    while True:
        df = df * 2


def imports(df):
    import os
    return df * len(os.environ)


def catches(df):
    try:
        return df * 2
    except ValueError:
        return df


def stores_global(df):
    global SCALE
    SCALE = 4
    return df


class Stateful:
    def __call__(self, df):
        return df * 2


REFUSED = {
    'effects': has_effects, 'decisions': decides, 'endless': endless, 'imports': imports, 'exceptions': catches,
    'globals': stores_global, 'print': lambda df: print(df) or df, 'random': lambda df: df * random.random(),
    'numpy random': lambda df: df + np.random.rand(), 'mutable capture': lambda df: df[COLUMNS], 'mutable closure': times([2]),
    'mutable default': lambda df, k=[]: df, 'comprehension': lambda df: df[[c for c in ('a', 'b')]],
    'nested': lambda df: df.assign(c=lambda d: d.a), 'generator': (lambda df: (yield df)), 'varargs': lambda *dfs: dfs[0],
    'builtin': abs, 'partial': functools.partial(times, 2), 'object': Stateful(), 'two frames': lambda df, other: df,
    'open': lambda df: open('x'), 'apply': lambda df: df.apply(abs), 'attribute': lambda df: df.__class__, 'mean': lambda df: df - df.mean(),
    'loc': lambda df: df.loc[0], 'values': lambda df: df.values, 'query': lambda df: df.query('a > 3'), 'module': lambda df: np,
    'matrix product': lambda df: df @ df, 'is': lambda df: df is None, 'chained': lambda df: df[0 < df.a < 3],
    'column by column': lambda df: df // df, 'power of columns': lambda df: df ** df, 'float to int': lambda df: df.astype(int),
    'int widened': lambda df: df.assign(a=df.a.clip(0, 1.5)),
    'exp of float32': lambda df: df.assign(f=np.exp(df.f)), 'overflow': lambda df: df.u + 300, 'no column': lambda df: df['zz'],
    'not a frame': lambda df: 3, 'before and after': lambda df: df[df.a > 0].assign(c=df.b), 'one string': lambda df: df.assign(s='x'),
    'method, not column': lambda df: df.count * 2,
}


@pytest.mark.parametrize('fn', REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_known_is_refused_with_a_reason(fn):
    result = found(fn, frame())
    assert result.assignments is None and result.reason


def test_what_grows_without_measure_is_refused_at_once():
    def doubled(df):
        for _ in (1,) * 60:
            df['b'] = df['b'] + df['b']
        return df

    def deep(df):
        for _ in (1,) * 200:
            df['b'] = df['b'] + 1.5
        return df
    assert 'too long' in found(doubled).reason
    assert 'operations one upon the other' in found(deep).reason


def test_what_inspection_refuses_is_never_called():
    assert 'calls' in found(has_effects).reason
    assert not calls and SCALE == 3


def test_a_method_wins_over_a_column_of_its_name():
    data = frame().rename(columns={'a': 'mean'})
    assert found(lambda df: df.assign(c=df.mean * 2), data).reason
    assert_runs_as_written(lambda df: df.assign(c=df['mean'] * 2), data)


def test_null_floats_are_nan_and_stay_so():
    table = pa.table({'x': pa.array([1.0, None, 3.0, float('nan')]), 'y': pa.array([1.0, 2.0, None, 4.0])})
    made = hr.from_arrow(table).map_batches(lambda df: df.assign(m=df.x > 2, n=df.x != df.y, z=df.x + df.y),
                                            batch_format='pandas')
    assert 'traced, runs in C' in made.explain()
    want = table.to_pandas()
    want = want.assign(m=want.x > 2, n=want.x != want.y, z=want.x + want.y)
    pd.testing.assert_frame_equal(made.to_pandas(), want)


@pytest.mark.parametrize('values', [[1, None, 3], [True, None, False], ['a', None, 'b']], ids=['int', 'bool', 'string'])
def test_other_nulls_are_not_traced_when_touched(values):
    handle = hr.from_arrow(pa.table({'x': pa.array(values), 'y': pa.array([1.0, 2.0, 3.0])}))
    touched = trace(lambda df: df.assign(z=df['x']), handle.schema())
    assert 'may hold nulls' in touched.reason
    assert not trace(lambda df: df.assign(y=df['y'] * 2), handle.schema()).reason


def test_tensors_run_in_c_from_pandas_and_numpy():
    for form, fn in (('pandas', lambda df: df * 2), ('numpy', lambda b: {'data': b['data'] * 2})):
        made = hr.range_tensor(50, shape=(3, 4), blocks=5).map_batches(fn, batch_format=form)
        assert 'traced, runs in C: data = data * 2' in made.explain()
        got = np.concatenate([b['data'] for b in made.iter_batches(batch_size=None)])
        assert (got == np.arange(50)[:, None, None] * 2).all() and got.dtype == np.int64 and got.shape == (50, 3, 4)


def test_a_tensor_meets_a_column_in_pandas_alone():
    data = hr.range_tensor(20, shape=(3,), blocks=2).map('x = 2.0')
    schema = data.schema()
    assert trace(lambda b: {'q': b['data'] * b['x']}, schema, batch_format='numpy').reason
    assert trace(lambda df: df[df['data'] > 3], schema).reason  # arrays have no one truth value


def test_dicts_of_arrays_follow_numpy():
    def change(batch):
        batch['c'] = np.where(batch['a'] > 0, batch['b'], 0.5)
        batch['a'] = batch['a'].astype('float32') / 3
        return batch
    data = frame()
    made = hr.from_pandas(data).map_batches(change)
    assert 'traced' in made.explain()
    want = change({n: data[n].to_numpy().copy() for n in data})
    got = made.take_batch(ROWS)
    assert list(got) == list(want)
    for name in want:
        assert got[name].dtype == want[name].dtype and (got[name] == want[name]).all()


def test_strings_compare_and_pass():
    data = pd.DataFrame({'s': ['a', 'b', 'a', 'c'], 'x': [1, 2, 3, 4]})
    schema = hr.from_pandas(data).schema()
    if not any(nullable for name, _, _, nullable in schema.fields() if name == 's'):
        assert_runs_as_written(lambda df: df[df['s'] == 'a'], data)
    assert_runs_as_written(lambda df: df.assign(x=df['x'] * 2), data)


def test_types_of_all_widths_agree_or_are_refused():
    rng = np.random.default_rng(3)
    for name in ('int8', 'int16', 'int32', 'int64', 'uint8', 'uint16', 'uint32', 'uint64', 'float16', 'float32', 'float64'):
        data = pd.DataFrame({'x': rng.integers(0, 100, 64).astype(name), 'y': rng.integers(1, 100, 64).astype('int32')})
        for fn in (lambda df: df[['x']] * 3, lambda df: df[['x']] / 7, lambda df: df[['x']] - 0.1, lambda df: df[['x']] % 5,
                   lambda df: df[['x']].clip(3, 50.1), lambda df: df.assign(z=df.x + df.y), lambda df: df.assign(z=df.x > 50.5), lambda df: df[['x']] ** 3):
            if not found(fn, data).reason:
                assert_runs_as_written(fn, data)


def test_the_sample_is_compared_too():
    data = frame()
    result = trace(lambda df: df * 2, _convert.batch_of_pandas(data).schema, lambda: data.astype('float32'))
    assert 'in the first rows' in result.reason


PLANS = {
    'pandas': (lambda df: df.assign(x=df.i, i=df.x, c=(df.x > 0) & ~(df.f < 0)), 'pandas'),
    'numpy': (lambda b: {'m': np.minimum(b['x'], 0.5), 'a': np.abs(b['i']), 'w': np.where(b['b'], b['x'], 0.0)}, 'numpy'),
}


@pytest.mark.parametrize('name', PLANS)
def test_the_plan_gives_what_processes_give(name):
    pytest.importorskip('cloudpickle')
    fn, form = PLANS[name]
    rng = np.random.default_rng(0)
    data = pd.DataFrame({'x': rng.normal(size=ROWS), 'i': rng.integers(-9, 9, ROWS),
                         'f': rng.normal(size=ROWS).astype('f4'), 'b': rng.normal(size=ROWS) > 0})
    made = hr.from_pandas(data).map_batches(fn, batch_format=form)
    assert 'traced, runs in C' in made.explain(), made.explain()
    written = hr.from_pandas(data).map_batches(fn, batch_format=form, trace=False)
    pd.testing.assert_frame_equal(made.to_pandas(), written.to_pandas(), check_exact=True)


def test_refused_runs_as_written_and_says_why():
    made = hr.from_pandas(frame()[['a']]).map_batches(lambda df: df.cumsum(), batch_format='pandas')
    assert 'runs as written, in Python processes: .cumsum is neither a column nor a method' in made.explain()
