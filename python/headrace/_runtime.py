# SPDX-License-Identifier: Apache-2.0
"""The runtime of this program: opened at first need, or by init() with options of one's own."""

import atexit
import os

from . import _core

_current = None
_pid = None


def init(*, memory_bytes=0, threads=0, io_threads=0, spill_dir=None, num_cpus=0, num_gpus=0):
    """Opens the runtime that everything after uses. Zero means the default: 30 % of the free memory, all processors. num_cpus and
    num_gpus: the slots that trainers share; ingest takes none."""
    global _current, _pid
    if _current is not None and _current.is_open and _pid == os.getpid():
        raise _core.InvalidError('a runtime is open already: call headrace.shutdown() first')
    _current = _core.Runtime(memory_bytes=memory_bytes, threads=threads, io_threads=io_threads, spill_dir=spill_dir,
                             cpus=num_cpus, gpus=num_gpus)
    _pid = os.getpid()
    return _current


def runtime():
    """The open runtime; opens one with the defaults when there is none."""
    if _current is None or not _current.is_open or _pid != os.getpid():
        init()
    return _current


def shutdown():
    """Closes the runtime. Datasets made from it keep what they need; new ones get a new runtime."""
    global _current
    if _current is not None and _pid == os.getpid():
        _current.close()
    _current = None


def memory_summary(stats_only=False):
    """The text of `headrace memory`: what the runtimes of this user hold."""
    return _core.memory_summary('stats-only' if stats_only else '')


def options(name=None, *, json=False):
    """The text of `headrace options`: what can be set, and where. name: one group, as 'stream'."""
    return _core.options_describe(name, json)


atexit.register(shutdown)
