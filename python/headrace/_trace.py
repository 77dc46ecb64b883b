# SPDX-License-Identifier: Apache-2.0
"""Tracing: a Python function over a batch becomes expressions that run in C.

Three gates, each of which may refuse; then the function runs as written:
  1. inspection, without calling: an allow-list of opcodes for each Python version. No jumps, no loops, no closures made, no
     imports; globals and captured names are immutable numbers, NumPy, pandas, or a few builtins.
  2. the call with a symbolic batch: its methods are those whose meaning here is certain; any other name refuses.
  3. comparison: the real function runs on up to 256 rows of the first block; types and bits must be equal.

Nulls: a null float is NaN to pandas and to the expression. Integers and truth values that may be null are traced through
arithmetic alone, where a null stays null; a sample that has nulls there fails the comparison, since pandas makes them floats.
"""

import dis
import sys
import types

from . import _types as t
from ._core import Expr

_SAMPLE_ROWS, _SAMPLE_BYTES = 256, 8 << 20

_COMMON = {
    'RESUME', 'CACHE', 'NOP', 'EXTENDED_ARG', 'LOAD_FAST', 'LOAD_CONST', 'LOAD_GLOBAL', 'LOAD_DEREF', 'COPY_FREE_VARS',
    'LOAD_ATTR', 'PUSH_NULL', 'CALL', 'BINARY_OP', 'BINARY_SUBSCR', 'STORE_SUBSCR', 'STORE_FAST', 'RETURN_VALUE',
    'UNARY_NEGATIVE', 'UNARY_INVERT', 'COMPARE_OP', 'POP_TOP', 'BUILD_LIST', 'LIST_EXTEND', 'BUILD_MAP',
    'BUILD_CONST_KEY_MAP', 'BUILD_TUPLE', 'SWAP', 'COPY',
}
_BY_VERSION = {
    (3, 11): _COMMON | {'LOAD_METHOD', 'PRECALL', 'KW_NAMES', 'UNARY_POSITIVE'},
    (3, 12): _COMMON | {'KW_NAMES', 'RETURN_CONST', 'CALL_INTRINSIC_1', 'LOAD_FAST_CHECK'},
    (3, 13): _COMMON | {'CALL_KW', 'RETURN_CONST', 'LOAD_FAST_LOAD_FAST', 'STORE_FAST_LOAD_FAST',
                        'STORE_FAST_STORE_FAST', 'LOAD_FAST_CHECK', 'CALL_INTRINSIC_1'},
}
_FLAGS_REFUSED = 0x04 | 0x08 | 0x20 | 0x80 | 0x100 | 0x200  # *args, **kwargs, generators, coroutines

# NumPy functions and what they are here.
_UFUNCS = {
    'abs': 'abs', 'absolute': 'abs', 'exp': 'exp', 'log': 'log', 'log1p': 'log1p', 'sqrt': 'sqrt', 'floor': 'floor',
    'ceil': 'ceil', 'minimum': 'min', 'maximum': 'max', 'where': 'where', 'power': '**', 'add': '+', 'subtract': '-',
    'multiply': '*', 'divide': '/', 'true_divide': '/', 'negative': '-',
}
_NUMPY_TYPES = ('float32', 'float64', 'int8', 'int16', 'int32', 'int64', 'uint8', 'uint16', 'uint32', 'uint64')


class Refused(Exception):
    """Why a function runs as written."""


# --- gate 1: the code object ---

def _constant(value):
    return value is None or type(value) in (int, float, bool, str) or (
        type(value) is tuple and all(_constant(v) for v in value))


def _stand_in(name, value):
    if _constant(value):
        return value
    if isinstance(value, types.ModuleType) and value.__name__ == 'numpy':
        return _Numpy()
    if value is abs:
        return _absolute
    raise Refused(f'it uses {name}, which is neither an immutable number nor a known function')


def inspected(function):
    """The same code over stand-ins for what it names; raises Refused."""
    import builtins
    if type(function) is not types.FunctionType:
        raise Refused('it is not a plain function')
    code, version = function.__code__, sys.version_info[:2]
    if version not in _BY_VERSION:
        raise Refused(f'its code is of Python {version[0]}.{version[1]}, whose instructions are not known here')
    if code.co_flags & _FLAGS_REFUSED or code.co_argcount != 1 or code.co_kwonlyargcount or code.co_exceptiontable:
        raise Refused('it takes more than one batch, or is a generator, or catches exceptions')
    for step in dis.get_instructions(code):
        if step.opname not in _BY_VERSION[version]:
            raise Refused(f'it uses {step.opname.lower().replace("_", " ")} at line {code.co_firstlineno}')
    if not all(_constant(c) for c in code.co_consts):
        raise Refused('it has a constant that is no number or text')
    names = {}
    for step in dis.get_instructions(code):
        if step.opname == 'LOAD_GLOBAL':
            name = step.argval
            if name in function.__globals__:
                names[name] = _stand_in(name, function.__globals__[name])
            elif hasattr(builtins, name):
                names[name] = _stand_in(name, getattr(builtins, name))
            else:
                raise Refused(f'it uses {name}, which is not defined')
    cells = ()
    if function.__closure__:
        try:
            cells = tuple(types.CellType(_stand_in(n, c.cell_contents))
                          for n, c in zip(code.co_freevars, function.__closure__))
        except ValueError:
            raise Refused('it captures a variable that is not set yet') from None
    names['__builtins__'] = {}
    return types.FunctionType(code, names, function.__name__, None, cells or None)


# --- gate 2: the symbolic batch ---

class _Column:
    """A column while the function is traced."""
    __slots__ = ('expr', 'sources', 'kind', 'shaky')
    __array_ufunc__ = None

    def __init__(self, expr, sources, kind, shaky):
        self.expr, self.sources, self.kind, self.shaky = expr, sources, kind, shaky

    def _with(self, name, *args, kind=None, logical=False):
        columns = [a for a in args if isinstance(a, _Column)]
        for a in args:
            if not isinstance(a, _Column) and type(a) not in (int, float, bool):
                raise Refused(f'it meets a column with {type(a).__name__}')
        if any(c.kind == 'text' for c in columns):
            raise Refused('it computes with a column that is no number')
        if not logical and any(c.kind == 'bool' for c in columns):
            raise Refused('it computes with truth values')
        if logical and any(c.shaky for c in columns):
            raise Refused('it compares or tests integers that may be null')
        made = Expr.call(name, *[a.expr if isinstance(a, _Column) else a for a in args])
        return _Column(made, frozenset().union(*[c.sources for c in columns]), kind or 'number',
                       any(c.shaky for c in columns))

    def _binary(name, flipped=False):
        def method(self, other):
            return self._with(name, other, self) if flipped else self._with(name, self, other)
        return method

    def _compare(name):
        def method(self, other):
            return self._with(name, self, other, kind='bool', logical=True)
        return method

    def _whole(name):
        def method(self, other):
            # By zero the results differ, and by a column zero may come later.
            if type(other) not in (int, float) or other == 0:
                raise Refused(f'it uses {name} by something else than a number')
            return self._with(name, self, other)
        return method

    __add__, __radd__ = _binary('+'), _binary('+', True)
    __sub__, __rsub__ = _binary('-'), _binary('-', True)
    __mul__, __rmul__ = _binary('*'), _binary('*', True)
    __truediv__, __rtruediv__ = _binary('/'), _binary('/', True)
    __floordiv__, __mod__ = _whole('//'), _whole('%')
    __lt__, __le__, __gt__, __ge__ = _compare('<'), _compare('<='), _compare('>'), _compare('>=')
    __eq__, __ne__ = _compare('=='), _compare('!=')
    __hash__ = None

    def __pow__(self, other):
        if type(other) not in (int, float) or (type(other) is int and other < 0):
            raise Refused('it raises to a power that is no plain number')
        return self._with('**', self, other)

    def _logic(name):
        def method(self, other):
            if self.kind != 'bool' or not (isinstance(other, _Column) and other.kind == 'bool'):
                raise Refused('it uses & or | on something else than truth values')
            return self._with(name, self, other, kind='bool', logical=True)
        return method

    __and__, __or__ = _logic('and'), _logic('or')

    def __invert__(self):
        if self.kind != 'bool':
            raise Refused('it uses ~ on numbers')
        return self._with('not', self, kind='bool', logical=True)

    def __neg__(self):
        return self._with('-', self)

    def __bool__(self):
        raise Refused('it decides by values')

    def abs(self):
        return self._with('abs', self)

    def copy(self):
        return self

    def astype(self, name):
        key = getattr(name, 'name', None) or getattr(name, '__name__', None) or str(name)
        if key == 'float':
            key = 'float64'
        if key not in _NUMPY_TYPES or self.kind != 'number':
            raise Refused(f'it casts to {key}')
        return _Column(self.expr.cast(t.BY_NAME[key]), self.sources, 'number', self.shaky)

    def clip(self, lower, upper):
        return self._with('clip', self, lower, upper)

    def fillna(self, value):
        if self.shaky or type(value) not in (int, float):
            raise Refused('it fills nulls of integers')
        return self._with('fill_nan', self, value)

    def __getattr__(self, name):
        raise Refused(f'it uses .{name} of a column')


def _absolute(value):
    if isinstance(value, (_Column, _Frame)):
        return value.abs()
    return abs(value)


class _Numpy:
    """What `np` is while the function is traced."""

    def __getattr__(self, name):
        if name in _NUMPY_TYPES:
            return types.SimpleNamespace(name=name)
        if name in ('nan', 'pi', 'e', 'inf'):
            import numpy
            return getattr(numpy, name)
        if name not in _UFUNCS:
            raise Refused(f'it uses np.{name}')

        def call(*args):
            frames = [a for a in args if isinstance(a, _Frame)]
            if frames and len(args) == 1:
                return frames[0]._each(call)
            first = next((a for a in args if isinstance(a, _Column)), None)
            if first is None or frames:
                raise Refused(f'it uses np.{name} on something else than columns')
            if name == 'where' and (len(args) != 3 or getattr(args[0], 'kind', None) != 'bool'):
                raise Refused('it uses np.where on something else than truth values')
            return first._with(_UFUNCS[name], *args, logical=name == 'where')
        return call


class _Frame:
    """A batch while the function is traced: a DataFrame, or a dict of arrays."""

    def __init__(self, columns, is_frame):
        object.__setattr__(self, '_columns', columns)
        object.__setattr__(self, '_is_frame', is_frame)

    def _each(self, change):
        if not self._is_frame:
            raise Refused('it computes with a whole dict')
        return _Frame({n: change(c) for n, c in self._columns.items()}, True)

    def __getitem__(self, key):
        if type(key) is str and key in self._columns:
            return self._columns[key]
        if type(key) is list and self._is_frame and all(type(k) is str and k in self._columns for k in key):
            return _Frame({k: self._columns[k] for k in key}, True)
        raise Refused(f'it asks for {key!r} of its batch')

    def __setitem__(self, key, value):
        if type(key) is not str or not isinstance(value, _Column):
            raise Refused('it stores something else than a column')
        self._columns[key] = value

    def __neg__(self):
        return self._each(lambda c: -c)

    def abs(self):
        return self._each(lambda c: c.abs())

    def copy(self):
        return _Frame(dict(self._columns), self._is_frame)

    def astype(self, name):
        return self._each(lambda c: c.astype(name))

    def assign(self, **columns):
        made = self.copy()
        for name, value in columns.items():
            made[name] = value
        return made

    def drop(self, *, columns):
        gone = [columns] if type(columns) is str else columns
        if not self._is_frame or not all(c in self._columns for c in gone):
            raise Refused('it drops columns that are not there')
        return _Frame({n: c for n, c in self._columns.items() if n not in gone}, True)

    def rename(self, *, columns):
        made = {columns.get(n, n): c for n, c in self._columns.items()}
        if not self._is_frame or len(made) != len(self._columns):
            raise Refused('it gives two columns one name')
        return _Frame(made, True)

    def __bool__(self):
        raise Refused('it decides by values')

    def __getattr__(self, name):
        if self._is_frame and name in self._columns:
            return self._columns[name]
        raise Refused(f'it uses .{name} of its batch')

    def __setattr__(self, name, value):
        raise Refused('it sets an attribute of its batch')


def _whole_frame(method):
    def whole(self, other):
        if type(other) not in (int, float):
            raise Refused(f'it meets a whole frame with {type(other).__name__}')
        return self._each(lambda c: getattr(c, method)(other))
    return whole


for _method in ('add', 'radd', 'sub', 'rsub', 'mul', 'rmul', 'truediv', 'rtruediv', 'pow', 'floordiv', 'mod'):
    setattr(_Frame, f'__{_method}__', _whole_frame(f'__{_method}__'))


def _symbols(schema, is_frame):
    columns = {}
    for name, text, kind, nullable in schema.fields():
        item = t.BY_NAME.get(text[7:text.index('>')]) if kind == t.TENSOR else kind
        expr, source = Expr.column(name), frozenset((name,))
        if item in t.FLOATS and item != t.BFLOAT16 and not (kind == t.TENSOR and nullable):
            leaf = Expr.call('fill_null', expr, float('nan')) if nullable else expr
            columns[name] = _Column(leaf, source, 'number', False)
        elif item in t.INTEGERS and not (kind == t.TENSOR and nullable):
            columns[name] = _Column(expr, source, 'number', nullable)
        elif item == t.BOOL and kind == t.BOOL:
            columns[name] = _Column(expr, source, 'bool', nullable)
        else:
            columns[name] = _Column(expr, source, 'text', True)
    return _Frame(columns, is_frame), {n: c.expr for n, c in columns.items()}


def _results(result, frame, is_frame):
    if isinstance(result, _Frame):
        return result._columns
    if not is_frame and type(result) is dict and all(isinstance(c, _Column) for c in result.values()):
        return result
    raise Refused('it returns something else than its batch')


def _assigned(handle, columns, unchanged):
    """The plan with these columns, in this order, all computed from what stood before."""
    new = {n: c for n, c in columns.items() if unchanged.get(n) is not c.expr}
    seen, clash = set(), False
    for name, column in new.items():
        clash = clash or bool(column.sources & seen)
        seen.add(name)
    prefix = '__headrace_' if clash else ''
    for name, column in new.items():
        handle = handle.assign(prefix + name, column.expr)
    names = handle.schema().names
    wanted = [prefix + n if n in new else n for n in columns]
    if names != wanted:
        handle = handle.select(wanted)
    for name in new if clash else ():
        handle = handle.rename(prefix + name, name)
    shown = '; '.join(f'{n} = {c.expr}' for n, c in list(new.items())[:8])
    return handle, shown + (f'; and {len(new) - 8} more' if len(new) > 8 else '')


# --- gate 3: the same bits ---

def _bits(column):
    import numpy as np
    if column.type_id in t.NUMBERS or column.type_id in (t.TENSOR, t.BOOL):
        a = np.asarray(column.tensor(nulls='raw'))
        return column.type, a.tobytes() if not column.null_count else column.values()
    return column.type, column.values()


def _sample_rows(schema):
    row_bytes = 8 * len(schema)
    for _, text, kind, _ in schema.fields():
        if kind == t.TENSOR:
            values = 8
            for n in text[text.index('[') + 1:-1].split(','):
                values *= int(n)
            row_bytes += values
    return max(1, min(_SAMPLE_ROWS, _SAMPLE_BYTES // max(1, row_bytes)))


def _check(handle, traced_handle, function, batch_format):
    from . import _convert
    rows = _sample_rows(handle.schema())
    sample = handle.take(rows)
    if not len(sample):
        raise Refused('there is no row to compare results on')
    form = _convert.former(batch_format, 'nan')
    batch = form(sample)
    if batch_format == 'numpy':
        batch = {n: a.copy() for n, a in batch.items()}
    else:
        batch = batch.copy()
    try:
        real = _convert.to_batch(function(batch))
    except Exception as e:
        raise Refused(f'it raised {type(e).__name__} on the first rows') from None
    ours = traced_handle.take(rows)
    if real.schema.names != ours.schema.names:
        raise Refused('its columns differ from those traced')
    for a, b in zip(real.columns(), ours.columns()):
        if _bits(a) != _bits(b):
            raise Refused(f"column '{a.name}' differs in type or bits from what was traced ({a.type}, {b.type})")


def traced(handle, function, batch_format):
    """(plan, text) with the function as expressions; raises Refused."""
    is_frame = batch_format == 'pandas'
    stand_in = inspected(function)
    frame, unchanged = _symbols(handle.schema(), is_frame)
    try:
        columns = _results(stand_in(frame), frame, is_frame)
        made, shown = _assigned(handle, columns, unchanged)
        made.schema()
    except Refused:
        raise
    except Exception as e:
        raise Refused(f'it cannot be traced: {e}') from None
    _check(handle, made, function, batch_format)
    return made, shown
