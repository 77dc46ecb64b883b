# SPDX-License-Identifier: Apache-2.0
"""The program of the processes that a runtime starts: `python -m headrace._worker`. It never runs the user's script again;
what it does came pickled. HEADRACE_FUNCTION_FD makes it a process of functions, else it is a trainer's worker.
"""

import os
import pickle
import sys


# --- exceptions of the user's code, on their way between processes ---

def describe(error):
    """An exception as one line and as bytes: (text, pickled). The line is part of the message, the bytes travel beside it."""
    import traceback
    text = f'{type(error).__name__}: {error}'.replace('\n', ' ')[:300]
    trace = ''.join(traceback.format_exception(error))[-8000:]
    for candidate in (error, None):
        try:
            try:
                import cloudpickle
                made = cloudpickle.dumps((candidate, text, trace))
            except ImportError:
                made = pickle.dumps((candidate, text, trace))
            if candidate is not None:
                pickle.loads(made)
            if len(made) <= 65536:
                return text, made
        except Exception:
            continue
    return text, b''


def rebuild(details, message):
    """The exception again, with the place put on it as a note; None when the details belong to another failure. One that
    cannot travel, and sys.exit, which was meant for that process and not for this one, become a FunctionError."""
    try:
        error, text, trace = pickle.loads(details)
    except Exception:
        return None
    if text[:200] not in message:
        return None
    if not isinstance(error, Exception):
        from . import _core
        ended = isinstance(error, SystemExit)
        error = _core.FunctionError(message.replace(text, f'it called sys.exit({error.code!r})') if ended else message)
    if isinstance(error, StopIteration):  # as itself it would end the loop over the batches, as if the rows were over
        error, cause = RuntimeError('a function of yours raised StopIteration'), error
        error.__cause__ = cause
    where = message.replace(text, '').strip().rstrip(':')
    error.add_note(f'in a headrace function, at {where}' if where else 'in a headrace function')
    error.add_note('in its process:\n' + trace)
    return error


# --- a process of functions ---

def _keep_rows(batch, function, args, kwargs):
    from . import _convert
    columns = {c.name: _convert.values(c) for c in batch.columns()}
    names = list(columns)
    keep = [bool(function(dict(zip(names, row)), *args, **kwargs)) for row in zip(*columns.values())]
    if all(keep):
        return batch
    import numpy as np
    mask = np.array(keep, dtype=bool)
    return _convert.batch_of_pandas(_convert.pandas_batch(batch)[mask])


def begin_function(payload):
    """The callable that turns a Batch into a Batch."""
    from . import _function
    job = _function.opened(payload)
    function, args, kwargs = job['function'], job['args'], job['kwargs']
    failure = None
    if isinstance(function, type):
        try:
            function = function(*job['constructor_args'], **job['constructor_kwargs'])
        except Exception as e:  # told by the first call, which can carry it whole
            failure = e
    from . import _convert
    form = _convert.former(job['batch_format'])
    name = _function.name_of(function)

    def run(batch):
        if failure is not None:
            raise failure
        if job['row_wise'] == 'filter':
            return _keep_rows(batch, function, args, kwargs)
        return _convert.to_batch(function(form(batch), *args, **kwargs), name)

    return run


# --- a worker of a trainer ---

def run_loop():
    from . import _core, _function
    from .train import session as worker
    session = _core.Session()
    worker.open_session(session)
    try:
        loop, config, told = _function.opened(session.payload)
        worker.set_up(told)
        worker.call_loop(loop, config)
    except BaseException as e:
        text, details = describe(e)
        worker.close_session()
        session.finish(text, details)
        return 1
    figures = worker.figures()
    worker.close_session()
    session.finish(None, figures)
    return 0


def main():
    import signal
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's: it ends us
    if os.environ.get('HEADRACE_FUNCTION_FD'):
        from . import _core
        _core.function_serve(begin_function, describe)
        return 0
    return run_loop()


if __name__ == '__main__':
    # The module must be known by its name alone: pickles speak of headrace._worker.
    from headrace import _worker
    sys.exit(_worker.main())
