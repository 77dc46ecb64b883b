# SPDX-License-Identifier: Apache-2.0
"""What a user's function meets while it is traced: columns and batches that record what is done to them.

A symbol has no truth value, no length and no items; whatever it does not know raises Refused. What it knows means the same
in pandas (or NumPy) and in C for all values of its type, as far as that can be told; _trace.py compares the rest.
"""

from ._core import Expr
from . import _types as t


class Refused(Exception):
    """Why a function runs as written."""


UFUNCS = {
    'add': '+', 'subtract': '-', 'multiply': '*', 'divide': '/', 'true_divide': '/', 'floor_divide': '//',
    'remainder': '%', 'mod': '%', 'power': '**', 'less': '<', 'less_equal': '<=', 'equal': '==', 'not_equal': '!=',
    'greater': '>', 'greater_equal': '>=', 'bitwise_and': '&', 'logical_and': '&', 'bitwise_or': '|',
    'logical_or': '|', 'minimum': 'min', 'maximum': 'max', 'negative': 'neg', 'positive': 'pos', 'invert': 'not',
    'logical_not': 'not', 'absolute': 'abs', 'abs': 'abs', 'square': 'square', 'sign': 'sign', 'exp': 'exp',
    'expm1': 'expm1', 'log': 'log', 'log1p': 'log1p', 'log2': 'log2', 'log10': 'log10', 'sqrt': 'sqrt', 'sin': 'sin',
    'cos': 'cos', 'tanh': 'tanh', 'floor': 'floor', 'ceil': 'ceil', 'rint': 'round', 'trunc': 'trunc',
    'isnan': 'is_nan', 'isinf': 'is_inf', 'isfinite': 'is_finite',
}

# NumPy has vector code of its own for these, whose last bits depend on the processor.
_INEXACT = {'float64': ('tanh',), 'float32': ('exp', 'log', 'sin', 'cos', 'tanh'),
            'float16': ('exp', 'log', 'sin', 'cos', 'tanh')}

_DEPTH_MAX = 100


def is_immutable(value):
    kind = type(value)
    if kind is tuple:
        return all(is_immutable(v) for v in value)
    return kind in (int, float, bool, str, type(None)) or (
        kind.__module__ == 'numpy' and kind.__name__ in ('float64', 'int64'))


def element(type_name):
    """'tensor<int64>[80, 80, 4]' holds int64."""
    return type_name[7:type_name.index('>')] if type_name.startswith('tensor<') else type_name


def is_number(kind):
    return kind in t.BY_NAME and kind not in ('bool', 'bfloat16')


def is_int(kind):
    return 'int' in kind


class Rows:
    """Which rows a symbol has: all, or those that passed filters. Symbols of different rows do not meet."""

    __slots__ = ('predicate', 'reads')

    def __init__(self, predicate=None, reads=frozenset()):
        self.predicate = predicate
        self.reads = reads


class Series:
    """A column that is recorded. `source` names the column of the data that it is, untouched."""

    __hash__ = None

    def __init__(self, schema, rows, expr, reads, source=None, depth=0):
        self._schema, self._rows, self._expr, self._reads, self._source = schema, rows, expr, reads, source
        self._depth, self._type = depth, None

    def _touched(self):
        """The expression with pandas' nulls."""
        if self._source is None:
            return self._expr
        name = self._source
        kind, nullable = self._schema.kinds[name]
        if element(kind) not in t.BY_NAME and kind not in ('string', 'large_string') or element(kind) == 'bfloat16':
            raise Refused(f"column '{name}' is {kind}")
        if not nullable:
            return self._expr
        if kind not in ('float16', 'float32', 'float64'):
            raise Refused(f"column '{name}' ({kind}) may hold nulls, which pandas gives another type")
        return Expr.call('fill_null', self._expr, float('nan'))

    def _kind(self):
        if self._type is None:
            self._type = self._touched().type(self._schema.core)  # raises what the core refuses
        return self._type

    def _made(self, expr, *others):
        met = [self] + [o for o in others if isinstance(o, Series)]
        made = Series(self._schema, self._rows, expr, frozenset().union(*(s._reads for s in met)),
                      depth=1 + max(s._depth for s in met))
        if made._depth > _DEPTH_MAX:
            raise Refused(f'more than {_DEPTH_MAX} operations one upon the other')
        made._kind()
        return made

    def _cast(self, dtype):
        kind, wanted = self._kind(), t.number_id(getattr(dtype, '__name__', None) or str(dtype))
        if not (is_number(element(kind)) or kind == 'bool'):
            raise Refused(f'a cast of {kind}')
        if kind.startswith('tensor<'):
            raise Refused('pandas does not cast columns of arrays')
        if 'float' in kind and wanted in t.INTEGERS:
            raise Refused('pandas fails where a float that becomes an integer is NaN')
        return self._made(self._touched().cast(wanted))

    astype = _cast

    def clip(self, lower=None, upper=None):
        if lower is None or upper is None:
            value = self._bound(lower if upper is None else upper)
            beyond = self._touched() < value if upper is None else self._touched() > value
            return self._made(Expr.call('where', beyond, value, self._touched()))
        lower, upper, x = self._bound(lower), self._bound(upper), self._touched()
        if not self._schema.framed:
            return self._made(Expr.call('clip', x, lower, upper))
        # pandas keeps what is within the bounds as it is: -0.0, too
        return self._made(Expr.call('where', x > upper, upper, Expr.call('where', x < lower, lower, x)))

    def _bound(self, value):
        """pandas widens the column for a bound that its type does not hold, in blocks that reach the bound."""
        kind = element(self._kind())
        if type(value) not in (int, float) or (is_int(kind) and type(value) is float):
            raise Refused(f'clip({value!r}) of {kind}')
        return value

    def fillna(self, value):
        kind = self._kind()
        if kind not in ('float16', 'float32', 'float64') or type(value) not in (int, float):
            if is_int(kind) and not kind.startswith('tensor<'):
                return self
            raise Refused(f'fillna({value!r}) of {kind}')
        return self._made(Expr.call('fill_nan', self._touched(), float(value)))

    def isna(self):
        kind = self._kind()
        if kind not in ('float16', 'float32', 'float64'):
            raise Refused(f'isna of {kind}, which has no nulls here')
        return self._made(Expr.call('is_nan', self._touched()))

    isnull = isna

    def notna(self):
        return ~self.isna()

    notnull = notna

    def abs(self):
        return _unary('abs', self)

    def round(self, decimals=0):
        if decimals != 0:
            raise Refused('round to decimals')
        return self if is_int(self._kind()) else _unary('round', self)

    def copy(self):
        return self

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        name = UFUNCS.get(ufunc.__name__)
        if method != '__call__' or kwargs or name is None:
            raise Refused(f'numpy.{ufunc.__name__} in this form')
        return _unary(name, inputs[0]) if len(inputs) == 1 else _binary(name, *inputs)

    def __array_function__(self, function, kinds, args, kwargs):
        if function.__name__ == 'where' and len(args) == 3 and not kwargs:
            return _where(*args)
        if function.__name__ == 'clip' and len(args) == 3 and not kwargs and isinstance(args[0], (Series, Frame)):
            return args[0].clip(args[1], args[2])
        raise Refused(f'numpy.{function.__name__} in this form')

    def __getattr__(self, name):
        raise Refused(f'.{name} of a column')

    def _no(self, *unused):
        raise Refused('it decides or loops on values (use numpy.where)')

    __bool__ = __iter__ = __len__ = __float__ = __int__ = __index__ = __contains__ = _no
    __getitem__ = __setitem__ = __delitem__ = __array__ = _no


def _number(value):
    """A constant operand: NumPy's captured scalars are numbers too."""
    if not isinstance(value, Series) and type(value) not in (int, float, bool, str):
        if not is_immutable(value) or value is None:
            raise Refused(f'an operand of type {type(value).__name__}')
        value = value.item()
    return value


def _operand(value):
    return value._touched() if isinstance(value, Series) else value


def _unary(name, a):
    if isinstance(a, Frame):
        return a._each(lambda s: _unary(name, s))
    kind = element(a._kind())
    if name == 'not':
        if a._kind() != 'bool':
            raise Refused(f'~ of {kind}')
    elif not is_number(kind):
        raise Refused(f'{name} of {kind}')
    if name in _INEXACT.get(kind, ()):
        raise Refused(f'NumPy and C differ in the last bits of {name} of {kind}')
    if name == 'pos':
        return a._made(a._touched())
    if name == 'square':
        return a * a
    return a._made(Expr.call('-' if name == 'neg' else name, a._touched()))


def _check_division(kinds, a, b):
    """An integer by zero is infinite in pandas, in a block of floats then."""
    if all(is_int(k) for k in kinds) and (isinstance(b, Series) or b == 0):
        raise Refused('// and % of integers by anything but a constant')


def _check_power(kinds, a, b):
    if isinstance(b, Series) or b == -1 or (is_int(kinds[0]) and (type(b) is not int or b < 0)):
        raise Refused('** by anything but a constant (for integers: a whole one; not -1)')


def _binary(name, a, b):
    if isinstance(a, Frame) or isinstance(b, Frame):
        return _frames(name, a, b)
    a, b = _number(a), _number(b)
    series = [v for v in (a, b) if isinstance(v, Series)]
    if len({id(s._rows) for s in series}) > 1:
        raise Refused('it mixes columns from before and after a filter')
    shapes = [s._kind() for s in series]
    kinds = [element(v._kind()) if isinstance(v, Series) else type(v).__name__ for v in (a, b)]
    if name in ('&', '|'):
        if kinds != ['bool', 'bool'] or len(series) < 2 or any(s != 'bool' for s in shapes):
            raise Refused(f'{name} of {kinds[0]} and {kinds[1]}')
        name = 'and' if name == '&' else 'or'
    elif name in ('<', '<=', '==', '!=', '>', '>='):
        texts = [k in ('str', 'string', 'large_string') for k in kinds]
        if any(s.startswith('tensor<') for s in shapes) or not (all(texts) or all(is_number(k) for k in kinds)):
            raise Refused(f'{name} of {kinds[0]} and {kinds[1]}')
    elif not all(is_number(k) for k in kinds):
        raise Refused(f'{name} of {kinds[0]} and {kinds[1]}')
    elif not series[0]._schema.framed and len({s.startswith('tensor<') for s in shapes}) > 1:
        raise Refused(f'{name} of a tensor and a column, whose shapes NumPy aligns at the other end')
    if name in ('//', '%'):
        _check_division(kinds, a, b)
    elif name == '**':
        _check_power(kinds, a, b)
    return series[0]._made(Expr.call(name, _operand(a), _operand(b)), a, b)


def _where(condition, yes, no):
    if not isinstance(condition, Series) or condition._kind() != 'bool':
        raise Refused('numpy.where without a condition on columns')
    yes, no = _number(yes), _number(no)
    for v in (yes, no):
        if isinstance(v, Series) and (v._rows is not condition._rows or v._kind().startswith('tensor<')):
            raise Refused('numpy.where of columns that do not belong together')
        if isinstance(v, str):
            raise Refused('numpy.where of strings')
    return condition._made(Expr.call('where', condition._touched(), _operand(yes), _operand(no)), yes, no)


def _frames(name, a, b):
    if isinstance(a, Frame) and isinstance(b, Frame):
        if list(a._columns) != list(b._columns):
            raise Refused('two frames of different columns')
        return a._with({n: _binary(name, s, b._columns[n]) for n, s in a._columns.items()})
    frame, other = (a, b) if isinstance(a, Frame) else (b, a)
    if isinstance(other, Series):
        raise Refused('a frame with a column (pandas aligns them by name)')
    return frame._each((lambda s: _binary(name, s, b)) if frame is a else (lambda s: _binary(name, a, s)))


class Frame:
    """A DataFrame that is recorded: named series of the same rows."""

    __hash__ = None

    def __init__(self, schema, rows, columns):
        self.__dict__.update(_schema=schema, _rows=rows, _columns=columns)

    def _with(self, columns):
        return Frame(self._schema, self._rows, columns)

    def _each(self, function):
        return self._with({n: function(s) for n, s in self._columns.items()})

    def _column(self, name):
        if type(name) is not str or name not in self._columns:
            raise Refused(f'there is no column {name!r}')
        return self._columns[name]

    def __getitem__(self, key):
        if isinstance(key, Series):
            if key._rows is not self._rows or key._kind() != 'bool':
                raise Refused('a frame indexed by anything but its names and conditions')
            predicate, reads = key._touched(), self._rows.reads | key._reads
            if self._rows.predicate is not None:
                predicate = self._rows.predicate & predicate
            rows = Rows(predicate, reads)
            return Frame(self._schema, rows, {n: Series(s._schema, rows, s._expr, s._reads, s._source, s._depth)
                                              for n, s in self._columns.items()})
        if type(key) is list:
            if len(set(key)) != len(key):
                raise Refused('a column twice')
            return self._with({n: self._column(n) for n in key})
        return self._column(key)

    def __setitem__(self, key, value):
        if type(key) is list and isinstance(value, Frame) and len(key) == len(value._columns):
            for name, series in zip(key, list(value._columns.values())):
                self[name] = series
            return
        if type(key) is not str:
            raise Refused('an assignment to anything but a column by its name')
        self._columns[key] = self._value(key, value)

    def _value(self, name, value):
        if isinstance(value, Series):
            if value._rows is not self._rows:
                raise Refused('it mixes columns from before and after a filter')
            if value._source is not None and value._source != name:
                return value._made(value._touched())
            return value
        value = _number(value)
        if type(value) is str:
            raise Refused('a column of one string')
        return Series(self._schema, self._rows, Expr.literal(value), frozenset())

    def __delitem__(self, key):
        self._column(key)
        del self._columns[key]

    def __getattr__(self, name):
        import pandas
        if name in self._columns and not hasattr(pandas.DataFrame, name):
            return self._columns[name]
        raise Refused(f'.{name} of a frame')

    def __setattr__(self, name, value):
        raise Refused('an assignment to an attribute')

    def assign(self, **columns):
        made = self.copy()
        for name, value in columns.items():
            made[name] = value
        return made

    def copy(self):
        return self._with(dict(self._columns))

    def drop(self, labels=None, *, axis=0, columns=None):
        names = columns if labels is None and axis == 0 else labels if columns is None and axis in (1, 'columns') else None
        names = [names] if type(names) is str else names
        if type(names) not in (list, tuple):
            raise Refused('drop of anything but columns')
        for name in names:
            self._column(name)
        return self._with({n: s for n, s in self._columns.items() if n not in names})

    def rename(self, *, columns):
        made = {columns.get(n, n): s for n, s in self._columns.items()} if type(columns) is dict else {}
        if len(made) != len(self._columns) or any(type(n) is not str for n in made):
            raise Refused('rename of this kind')
        return self._with(made)

    def reset_index(self, *, drop):
        if drop is not True:
            raise Refused('an index as a column')
        return self.copy()

    def astype(self, dtype):
        if type(dtype) is dict:
            made = self.copy()
            for name, kind in dtype.items():
                made[name] = made._column(name).astype(kind)
            return made
        return self._each(lambda s: s.astype(dtype))

    def fillna(self, value):
        if type(value) is dict:
            made = self.copy()
            for name, filler in value.items():
                made[name] = made._column(name).fillna(filler)
            return made
        return self._each(lambda s: s.fillna(value))

    def clip(self, lower=None, upper=None):
        return self._each(lambda s: s.clip(lower, upper))

    def round(self, decimals=0):
        return self._each(lambda s: s.round(decimals))

    def abs(self):
        return _unary('abs', self)

    def isna(self):
        return self._each(lambda s: s.isna())

    isnull = isna

    def notna(self):
        return self._each(lambda s: s.notna())

    notnull = notna
    __array_ufunc__ = Series.__array_ufunc__
    __array_function__ = Series.__array_function__
    __bool__ = __iter__ = __len__ = __float__ = __int__ = __index__ = __contains__ = __array__ = Series._no


class Arrays:
    """A dict of arrays that is recorded."""

    __hash__ = None

    def __init__(self, schema, rows, columns):
        self.__dict__.update(_schema=schema, _rows=rows, _columns=columns)

    def __getitem__(self, key):
        if type(key) is not str or key not in self._columns:
            raise Refused(f'there is no column {key!r}')
        return self._columns[key]

    def __setitem__(self, key, value):
        if type(key) is not str or not isinstance(value, Series):
            raise Refused('an assignment of anything but an array to a name')
        self._columns[key] = value

    def __delitem__(self, key):
        self[key]
        del self._columns[key]

    def copy(self):
        return Arrays(self._schema, self._rows, dict(self._columns))

    def __getattr__(self, name):
        raise Refused(f'.{name} of a dict')

    def __setattr__(self, name, value):
        raise Refused('an assignment to an attribute')

    __bool__ = __iter__ = __len__ = __contains__ = __array__ = Series._no


class Schema:
    """The types of a batch that a function gets, by name; `core` types expressions. framed: it is a DataFrame, else a dict."""

    def __init__(self, core, framed):
        self.core, self.framed = core, framed
        self.kinds = {name: (kind, nullable) for name, kind, _, nullable in core.fields()}

    def batch(self):
        rows = Rows()
        columns = {n: Series(self, rows, Expr.column(n), frozenset((n,)), n) for n in self.kinds}
        return (Frame if self.framed else Arrays)(self, rows, columns)


def _add_operators():
    binary = {'add': '+', 'sub': '-', 'mul': '*', 'truediv': '/', 'floordiv': '//', 'mod': '%', 'pow': '**', 'and': '&',
              'or': '|'}
    for kind in (Series, Frame):
        for word, name in binary.items():
            setattr(kind, f'__{word}__', lambda a, b, name=name: _binary(name, a, b))
            setattr(kind, f'__r{word}__', lambda a, b, name=name: _binary(name, b, a))
            if word not in ('and', 'or'):
                setattr(kind, word, lambda a, b, name=name: _binary(name, a, b))
        setattr(kind, 'div', kind.truediv)
        for word, name in {'lt': '<', 'le': '<=', 'eq': '==', 'ne': '!=', 'gt': '>', 'ge': '>='}.items():
            setattr(kind, f'__{word}__', lambda a, b, name=name: _binary(name, a, b))
        for word, name in {'neg': 'neg', 'pos': 'pos', 'invert': 'not', 'abs': 'abs'}.items():
            setattr(kind, f'__{word}__', lambda a, name=name: _unary(name, a))
        setattr(kind, '__round__', lambda a, digits=0: a.round(digits or 0))


_add_operators()
