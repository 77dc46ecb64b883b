# SPDX-License-Identifier: Apache-2.0
"""A function of the user as a program to start and bytes to give it. cloudpickle carries it and is imported here alone."""

import os
import sys


def worker_argv():
    """How to start a Python that serves as headrace._worker, wherever this package lies."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if os.path.basename(root) in ('site-packages', 'dist-packages'):
        return [sys.executable, '-m', 'headrace._worker']
    start = f'import sys; sys.path.insert(0, {root!r}); import headrace._worker as w; sys.exit(w.main())'
    return [sys.executable, '-c', start]


def pickled(value, what):
    try:
        import cloudpickle
    except ImportError:
        raise ImportError(f'{what} runs in processes of its own and is carried there by cloudpickle: '
                          'pip install cloudpickle') from None
    try:
        return cloudpickle.dumps(value)
    except Exception as e:
        e.add_note(f'headrace: {what} runs in processes of its own and must be picklable')
        raise


def name_of(function):
    return getattr(function, '__name__', None) or type(function).__name__


def function_payload(function, batch_format, *, fn_args=(), fn_kwargs=None, fn_constructor_args=(),
                     fn_constructor_kwargs=None, row_wise=None):
    """The bytes that headrace._worker begins with. row_wise: 'filter' calls it with one row at a time."""
    job = {'function': function, 'batch_format': batch_format, 'args': tuple(fn_args), 'kwargs': dict(fn_kwargs or {}),
           'constructor_args': tuple(fn_constructor_args), 'constructor_kwargs': dict(fn_constructor_kwargs or {}),
           'row_wise': row_wise}
    return envelope(pickled(job, f'function {name_of(function)!r}'))


def envelope(inner):
    """Where the modules of the program are found comes before anything is unpickled."""
    import pickle
    return pickle.dumps((list(sys.path), os.getcwd(), inner))


def identity(payload):
    """Tells the function of a payload from others, alike in every process: made of what is pickled, but not of the order of
    a set, of which equal strings are one object, of the numbers that cloudpickle draws for the classes of a script, or of
    where its modules are found."""
    import hashlib
    import pickle
    import pickletools
    import re
    parts, marks, memo, composites = [], [], [], 0
    for op, arg, _ in pickletools.genops(pickle.loads(payload)[2]):
        if op.name == 'FRAME':
            continue
        if op.name == 'MEMOIZE':
            composites += not atom
            memo.append(part if atom else f'#{composites}')
            continue
        atom = 'UNICODE' in op.name or 'BYTES' in op.name
        drawn = isinstance(arg, str) and re.fullmatch('[0-9a-f]{32}', arg)
        part = memo[arg] if 'BINGET' in op.name else op.name if drawn else f'{op.name} {arg!r}'
        if op.name == 'MARK':
            marks.append(len(parts))
        elif pickletools.markobject in op.stack_before:
            inside = parts[marks[-1]:]
            del parts[marks.pop():]
            if op.name in ('ADDITEMS', 'FROZENSET'):
                inside.sort()
            part = f'{op.name} ({", ".join(inside)})'
        parts.append(part)
    return hashlib.sha256('\n'.join(parts).encode()).hexdigest()


def opened(payload):
    import pickle
    path, folder, inner = pickle.loads(payload)
    known = set(sys.path)
    sys.path.extend(p for p in path if p not in known)
    if '' in path and folder not in known:
        sys.path.append(folder)
    return pickle.loads(inner)
