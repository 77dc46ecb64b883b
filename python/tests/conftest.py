# SPDX-License-Identifier: Apache-2.0
"""One runtime for all tests of a process; what needs another package is skipped by its name."""

import os
import subprocess
import sys

import pytest

import headrace as hr


@pytest.fixture(autouse=True, scope='session')
def a_runtime(tmp_path_factory):
    os.environ['HEADRACE_RESULTS'] = str(tmp_path_factory.mktemp('results'))
    hr.init(memory_bytes=256 << 20, threads=2)
    yield
    hr.shutdown()


@pytest.fixture
def script(tmp_path):
    """Runs a script in a process of its own: script(text, *args) gives the completed process."""
    def run(text, *args, command=(), timeout=120, **environment):
        path = tmp_path / 'script.py'
        path.write_text(text)
        env = {**os.environ, 'HEADRACE_MEMORY': '256MiB', **environment}
        where = os.path.dirname(os.path.dirname(hr.__file__))
        env['PYTHONPATH'] = os.pathsep.join(p for p in (where, env.get('PYTHONPATH')) if p)
        return subprocess.run([sys.executable, *command, str(path), *map(str, args)], capture_output=True, text=True,
                              timeout=timeout, env=env)
    return run
