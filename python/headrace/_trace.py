# SPDX-License-Identifier: Apache-2.0
"""A Python function on batches becomes expressions that run in C, or is refused and runs as written.

Three gates, each of which can only refuse:
1. inspect: its bytecode may hold nothing but known instructions, known attributes and immutable captured values. What does
   not pass is never called, so tracing has no effects.
2. call: once, with symbols (_symbols.py) that record what is done to them.
3. verify: the recorded expressions and the real function give the same types and bits, on rows of extreme values (zeros,
   limits, NaN, infinities) and on the first rows of the data.

Nulls are as pandas has them: in floats they are NaN. A column of anything else that may hold nulls is not traced when the
function touches it, since pandas would change its type from block to block.
"""

import builtins
import dis
import sys
import types
import warnings

from . import _types as t
from ._core import Batch, Expr, Prep
from ._symbols import UFUNCS, Arrays, Frame, Refused, Schema, Series, element, is_immutable, is_int

_SAMPLE_ROWS, _SAMPLE_BYTES = 256, 4 << 20
_TEXT_MAX = 4000  # an expression's text is cut at 4,096 bytes


class Traced:
    """What trace() found. Refused: `assignments` is None and `reason` says why. Else apply() makes the plan: `predicate` (an
    Expr or None) filters, then `assignments`, a list of (name, Expr), all of which read the columns as they were before;
    where `drops_others`, they are all columns of the result, in its order. A function that returns a condition has a
    `predicate` and no assignments."""

    __slots__ = ('assignments', 'drops_others', 'predicate', 'reason', '_kept')

    def __init__(self, assignments=None, drops_others=False, predicate=None, reason='', kept=()):
        self.assignments, self.drops_others, self.predicate, self.reason = assignments, drops_others, predicate, reason
        self._kept = kept  # names among the assignments that pass through

    def apply(self, handle):
        """The plan with this done to its rows."""
        if self.predicate is not None:
            handle = handle.filter(self.predicate)
        new = [(n, e) for n, e in self.assignments or () if n not in self._kept]
        there = set(handle.schema().names)
        replaced = {n for n, _ in new} & there
        # Assignments run one after the other: under other names first where one could read what another replaced.
        prefix = '__hr_' if len(new) > 1 and replaced else ''
        for name, expr in new:
            handle = handle.assign(prefix + name, expr)
        if prefix:
            order = [n for n, _ in self.assignments] if self.drops_others else handle.schema().names
            made = {n for n, _ in new}
            wanted = [prefix + n if n in made else n for n in order if not n.startswith(prefix)]
            wanted += [] if self.drops_others else [prefix + n for n, _ in new if n not in there]
            handle = handle.select(wanted)
            for name, _ in new:
                handle = handle.rename(prefix + name, name)
        elif self.drops_others:
            handle = handle.select([n for n, _ in self.assignments])
        return handle

    def __str__(self):
        shown = [f'{n} = {e}' for n, e in self.assignments or () if n not in self._kept]
        parts = ([f'keep {self.predicate}'] if self.predicate is not None else []) + shown[:8]
        if len(shown) > 8:
            parts.append(f'and {len(shown) - 8} more')
        if self.drops_others:
            parts.append('of columns ' + ', '.join(n for n, _ in self.assignments))
        return '; '.join(parts)

    def __repr__(self):
        return f'<Traced: {"refused, " + self.reason if self.reason else self}>'


# --- 1. inspect ---

_COMMON = frozenset('''
    RESUME NOP CACHE EXTENDED_ARG POP_TOP COPY SWAP PUSH_NULL COPY_FREE_VARS LOAD_CONST LOAD_FAST STORE_FAST LOAD_GLOBAL
    LOAD_DEREF LOAD_ATTR BINARY_OP BINARY_SUBSCR STORE_SUBSCR DELETE_SUBSCR COMPARE_OP UNARY_NEGATIVE UNARY_INVERT
    BUILD_LIST BUILD_TUPLE BUILD_MAP BUILD_CONST_KEY_MAP LIST_EXTEND UNPACK_SEQUENCE CALL GET_ITER FOR_ITER JUMP_BACKWARD
    RETURN_VALUE'''.split())
_OPCODES = {
    (3, 11): _COMMON | {'LOAD_METHOD', 'PRECALL', 'KW_NAMES', 'UNARY_POSITIVE'},
    (3, 12): _COMMON | {'KW_NAMES', 'RETURN_CONST', 'END_FOR'},
    (3, 13): _COMMON | {'CALL_KW', 'RETURN_CONST', 'END_FOR', 'LOAD_FAST_LOAD_FAST', 'STORE_FAST_STORE_FAST',
                        'STORE_FAST_LOAD_FAST'},
}
_OPERATORS = frozenset(op + tail for op in ('+', '-', '*', '/', '//', '%', '**', '&', '|') for tail in ('', '='))
_BUILTINS = frozenset(('abs', 'bool', 'float', 'int', 'round'))
_DTYPES = frozenset(('float16', 'float32', 'float64', 'int8', 'int16', 'int32', 'int64', 'uint8', 'uint16', 'uint32',
                     'uint64', 'bool_'))
_MODULES = {
    'numpy': frozenset(UFUNCS) | _DTYPES | {'where', 'clip', 'nan', 'inf', 'pi', 'e'},
    'math': frozenset(('pi', 'e', 'inf', 'nan', 'tau', 'log', 'log2', 'log10', 'log1p', 'exp', 'sqrt')),
    'pandas': frozenset(),
}
_METHODS = frozenset('''
    abs add astype assign clip copy div drop fillna floordiv isna isnull mod mul notna notnull pow rename reset_index
    round sub truediv'''.split())


def _check_capture(name, value, following):
    if isinstance(value, types.ModuleType):
        module = value.__name__
        if module not in _MODULES or sys.modules.get(module) is not value:
            raise Refused(f'it uses the module {module}')
        if following is None or following.opname not in ('LOAD_ATTR', 'LOAD_METHOD'):
            raise Refused(f'it uses the module {module} as a value')
        if following.argval not in _MODULES[module]:
            raise Refused(f'{module}.{following.argval} has no counterpart in C')
    elif not is_immutable(value):
        raise Refused(f"it uses '{name}', a {type(value).__name__}, which may change or have effects")


def _check_signature(fn):
    if type(fn) is not types.FunctionType:
        raise Refused(f'it is a {type(fn).__name__}, not a plain function')
    code = fn.__code__
    if code.co_flags & 0x2EC:  # *args, **kwargs, generators, coroutines
        raise Refused('it is a generator, a coroutine or takes *args')
    defaults = fn.__defaults__ or ()
    if code.co_argcount - len(defaults) not in (0, 1) or code.co_argcount < 1 or code.co_kwonlyargcount:
        raise Refused('it does not take one frame')
    if not all(is_immutable(v) for v in defaults):
        raise Refused('a default argument may change')
    if len(defaults) == code.co_argcount:
        raise Refused('its frame has a default value')


def _look_up(fn, instruction, cells):
    """The value that LOAD_GLOBAL or LOAD_DEREF gives, and whether it is a builtin that is allowed."""
    name = instruction.argval
    if instruction.opname == 'LOAD_DEREF':
        if name not in cells:
            raise Refused(f"'{name}' has no value yet")
        return cells[name], False
    if name in fn.__globals__:
        return fn.__globals__[name], False
    value = getattr(builtins, name, None)
    if name in _BUILTINS:
        return value, True
    raise Refused(f'it uses {name}, which is not known to be free of effects')


def _check_attribute(instruction, names):
    name = instruction.argval
    if name in _METHODS:
        return
    if name not in names or name.startswith('__') or any(hasattr(k, name) for k in (list, dict, str, tuple, int, float)):
        raise Refused(f'.{name} is neither a column nor a method that runs in C')


def inspect(fn, names):
    """Raises Refused unless calling fn(symbols) can have no effect. names: the columns' names."""
    _check_signature(fn)
    allowed = _OPCODES.get(sys.version_info[:2]) if sys.implementation.name == 'cpython' else None
    if allowed is None:
        raise Refused(f'the bytecode of {sys.implementation.name} {sys.version_info[0]}.{sys.version_info[1]} '
                      'is not known')
    code = fn.__code__
    if code.co_exceptiontable:
        raise Refused('it handles exceptions')
    cells = {}
    for name, cell in zip(code.co_freevars, fn.__closure__ or ()):
        try:
            cells[name] = cell.cell_contents
        except ValueError:
            continue
    listing = list(dis.get_instructions(fn))
    loops = {i.offset for i in listing if i.opname == 'FOR_ITER'}
    before = None
    for at, i in enumerate(listing):
        after = listing[at + 1] if at + 1 < len(listing) else None
        if i.opname not in allowed and not (i.opname == 'CALL_INTRINSIC_1' and 'UNARY_POSITIVE' in i.argrepr):
            raise Refused(_words_for(i))
        if i.opname in ('LOAD_GLOBAL', 'LOAD_DEREF'):
            value, builtin = _look_up(fn, i, cells)
            if not builtin:
                _check_capture(i.argval, value, after)
        elif i.opname in ('LOAD_ATTR', 'LOAD_METHOD'):
            if before is None or before.opname not in ('LOAD_GLOBAL', 'LOAD_DEREF') or not isinstance(
                    _look_up(fn, before, cells)[0], types.ModuleType):
                _check_attribute(i, names)
        elif i.opname == 'BINARY_OP' and i.argrepr not in _OPERATORS:
            raise Refused(f'the operator {i.argrepr} does not run in C')
        elif i.opname == 'GET_ITER' and before.opname not in ('LOAD_CONST', 'LOAD_GLOBAL', 'LOAD_DEREF'):
            raise Refused('it loops over something that is not constant')
        elif i.opname == 'JUMP_BACKWARD' and i.argval not in loops:
            raise Refused('it loops')
        before = i


def _words_for(instruction):
    name = instruction.opname
    if 'JUMP' in name or name == 'TO_BOOL':
        return 'it decides or loops on values (use numpy.where)'
    if name.startswith('IMPORT'):
        return f'it imports {instruction.argval}'
    if name.startswith(('STORE_', 'DELETE_')):
        return f'it changes {instruction.argval}, which is not its own'
    if name in ('MAKE_FUNCTION', 'MAKE_CELL', 'LOAD_CLOSURE', 'LOAD_BUILD_CLASS'):
        return 'it makes functions of its own'
    return f'the instruction {name} is not on the list of those without effects'


# --- 3. verify ---

class _Plan:
    """What the call left: (name, Expr or None where the column passes through) for each column, the predicate, and the names
    of columns that are read."""

    def __init__(self, result, schema):
        self.mask, self.predicate, self.columns = isinstance(result, Series), None, []
        if isinstance(result, dict):
            if schema.framed or not result or not all(type(n) is str and isinstance(s, Series) for n, s in result.items()):
                raise Refused('it returns a dict of something else than arrays')
            result = Arrays(schema, next(iter(result.values()))._rows, dict(result))
        if not isinstance(result, (Series, Frame, Arrays)):
            raise Refused(f'it returns a {type(result).__name__}, not a batch')
        self.predicate, self.reads = result._rows.predicate, set(result._rows.reads)
        if self.mask:
            if result._kind() != 'bool' or self.predicate is not None:
                raise Refused('it returns a column, not a batch')
            self.predicate, self.reads = result._touched(), self.reads | result._reads
            return
        for name, series in result._columns.items():
            kept = series._source == name
            self.columns.append((name, None if kept else series._expr))
            self.reads.update(() if kept else series._reads)
        if not self.columns:
            raise Refused('no column is left')

    def traced(self, schema):
        if self.mask:
            return Traced(predicate=self.predicate)
        names, source = [n for n, _ in self.columns], list(schema.kinds)
        drops = names[:len(source)] != source
        listed = [(n, Expr.column(n) if e is None else e) for n, e in self.columns if drops or e is not None]
        return Traced(listed, drops, self.predicate, kept=frozenset(n for n, e in self.columns if e is None))


_INTS = (0, 1, 2, 3, 5, 7, 10, 100)
_FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 3.0, 1e-3, 0.1, 1 / 3, 7.0, 1e4, -123.456, 1e30, 1e-30,
           float('nan'), float('inf'), float('-inf'))
_TEXTS = ('', 'a', 'A', 'b', 'ab', '\u00e9', '\U0001f600')


def _edges(kind, count, at):
    """Values of a type at which operations differ, another phase for each column."""
    import numpy as np
    if kind in ('string', 'large_string'):
        return [_TEXTS[(i + at) % len(_TEXTS)] for i in range(count)]
    if kind == 'bool':
        return (np.arange(count) >> (at % 3)) & 1 == 1
    if is_int(kind):
        info = np.iinfo(kind)
        values = [v for v in _INTS + tuple(-v for v in _INTS) if info.min <= v <= info.max]
        values = np.array(values + [info.min, info.min + 1, info.max - 1, info.max], dtype=kind)
    else:
        limits = np.finfo(kind)
        with np.errstate(over='ignore'):
            values = np.array(_FLOATS + (float(limits.max), float(limits.tiny), float(limits.eps)), dtype=kind)
    return values[(np.arange(count) * (2 * at + 1) + 7 * at) % len(values)]


def _shape(kind):
    return tuple(int(d) for d in kind[kind.index('[') + 1:-1].split(',')) if kind.startswith('tensor<') else ()


def _rows_within(schema, limit, most):
    """How many rows of a schema take about `limit` bytes."""
    import math
    row = sum(8 * math.prod(_shape(kind)) for kind, _ in schema.kinds.values())
    return max(1, min(most, limit // max(row, 1)))


def _extremes(schema, reads):
    """A Batch of edges in the columns that are read; zeros stand for the others."""
    import math
    import numpy as np
    from . import _convert
    rows, columns = max(2, _rows_within(schema, _SAMPLE_BYTES // 4, 96)), {}
    for at, (name, (kind, _)) in enumerate(schema.kinds.items()):
        shape = _shape(kind)
        values = _edges(element(kind), rows * math.prod(shape), at) if name in reads else np.zeros(rows, np.int8)
        columns[name] = values.reshape((rows,) + shape) if shape and name in reads else values
    return _convert.batch_of_numpy(columns)


def _evaluate(exprs, batch):
    """The expressions over a Batch, in C, as NumPy arrays."""
    import numpy as np
    texts = [str(e) for e in exprs]
    if any(len(text.encode()) >= _TEXT_MAX for text in texts):
        raise Refused('its expressions are too long to be verified')
    done = Prep.map('; '.join(f'__hr_{i} = {text}' for i, text in enumerate(texts))).transform_block(batch)
    made = {c.name: c for c in done.columns()}
    return [np.asarray(made[f'__hr_{i}'].tensor()) for i in range(len(texts))]


def _same_bits(a, b):
    """Equal types, shapes and bits; all NaN are one."""
    import numpy as np
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if a.dtype.kind != 'f':
        return bool((a == b).all())
    width = f'u{a.dtype.itemsize}'
    same = np.ascontiguousarray(a).view(width) == np.ascontiguousarray(b).view(width)
    return bool((same | (np.isnan(a) & np.isnan(b))).all())


def _array(values):
    """A column of either form as one array; a pandas column of arrays is stacked."""
    import numpy as np
    values = np.asarray(values)
    stacked = values.dtype == object and len(values) and isinstance(values[0], np.ndarray)
    return np.stack(list(values)) if stacked else values


def _same_items(a, b):
    a, b = _array(a), _array(b)
    if a.dtype != object or b.dtype != object:
        return _same_bits(a, b)
    return len(a) == len(b) and all(x is y or x == y or (x != x and y != y) for x, y in zip(a, b))


def _called(fn, batch, plan, schema, what):
    """What the real function returns for a Batch, as {name: column}, or its condition."""
    import numpy as np
    import pandas as pd
    from . import _convert
    given = _convert.former('pandas' if schema.framed else 'numpy', 'nan')(batch)
    given = given.copy(deep=True) if schema.framed else {n: np.array(a) for n, a in given.items()}
    with warnings.catch_warnings(), np.errstate(all='ignore'):
        warnings.simplefilter('ignore')
        try:
            real = fn(given)
        except Exception as e:
            raise Refused(f'it raises {type(e).__name__} on {what}') from None
    wanted = (pd.Series if plan.mask else pd.DataFrame) if schema.framed else (np.ndarray if plan.mask else dict)
    if not isinstance(real, wanted):
        raise Refused(f'it returns a {type(real).__name__} for {what}')
    return real


def _verify(fn, plan, batch, schema, what):
    import numpy as np
    from . import _convert
    real = _called(fn, batch, plan, schema, what)
    exprs = [e for _, e in plan.columns if e is not None] + ([] if plan.predicate is None else [plan.predicate])
    values = _evaluate(exprs, batch) if exprs else []
    keep = np.ones(len(batch), dtype=np.bool_) if plan.predicate is None else values.pop()
    if plan.mask:
        if not _same_bits(np.asarray(real), keep):
            raise Refused(f'C gives another condition on {what}')
        return
    if list(real) != [n for n, _ in plan.columns]:
        raise Refused(f'it makes other columns of {what}')
    before = _convert.former('pandas' if schema.framed else 'numpy', 'nan')(batch)
    values.reverse()
    for name, expr in plan.columns:
        theirs = real[name]
        if len(theirs) != int(keep.sum()):
            raise Refused(f'C keeps other rows of {what}')
        if expr is None:
            same = before[name].dtype == theirs.dtype and _same_items(before[name][keep], theirs)
        else:
            mine = values.pop()[keep]
            same = not len(mine) or _same_bits(mine, _array(theirs))
        if not same:
            raise Refused(f"C gives other bits or another type for column '{name}' on {what}")


# --- all three ---

def trace(fn, schema, sample=None, batch_format='pandas'):
    """What fn does to a batch, as a Traced. schema: the Schema of the rows it gets. sample: a callable that gives the first of
    them (a DataFrame or a Batch); without it, or without rows, extreme values alone are compared."""
    try:
        return _trace(fn, Schema(schema, batch_format == 'pandas'), sample)
    except Refused as e:
        return Traced(reason=str(e))
    except ImportError as e:
        return Traced(reason=f'what it is compared with cannot be imported: {e}')


def _trace(fn, schema, sample):
    inspect(fn, schema.kinds)
    import numpy  # noqa: F401 (what symbols meet)
    import pandas  # noqa: F401
    try:
        result = fn(schema.batch())
    except Refused:
        raise
    except Exception as e:
        raise Refused(f'it cannot be recorded: {e}'.rstrip('.')) from None
    plan = _Plan(result, schema)
    traced = plan.traced(schema)
    _verify(fn, plan, _extremes(schema, plan.reads), schema, 'rows of extreme values')
    rows = sample() if sample is not None else None
    if rows is not None and len(rows):
        if not isinstance(rows, Batch):
            from . import _convert
            rows = _convert.batch_of_pandas(rows.iloc[:_SAMPLE_ROWS])
        for name, kind, _, _ in rows.schema.fields():
            if name in plan.reads and kind.removeprefix('large_') != schema.kinds[name][0].removeprefix('large_'):
                raise Refused(f"column '{name}' is {schema.kinds[name][0]} and {kind} in the first rows")
        _verify(fn, plan, rows, schema, 'the first rows')
    return traced


def traced(handle, fn, batch_format):
    """The plan with fn as expressions, and their text; raises Refused."""
    schema = handle.schema()
    rows = _rows_within(Schema(schema, True), _SAMPLE_BYTES, _SAMPLE_ROWS)
    found = trace(fn, schema, lambda: handle.take(rows), batch_format)
    if found.reason or found.assignments is None:
        raise Refused(found.reason or 'it returns a condition, not a batch')
    made = found.apply(handle)
    made.schema()
    return made, str(found)
