# SPDX-License-Identifier: Apache-2.0
"""Runs scripts written for Ray AIR without editing them:  python -m headrace.compat SCRIPT.py [ARGUMENTS]

One table of names (names.py) serves both eras of their imports; one module finder answers `import ray...`. A name that is
not in the table raises an error that says what is missing and what to use instead.
"""

import importlib.abc
import importlib.machinery
import sys
import types

from . import names


class MissingName(ImportError):
    """A name of Ray that headrace.compat does not provide."""


class _Module(types.ModuleType):
    """A module of the table: what it has is looked up when asked for."""

    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(name)
        found = names.lookup(self.__name__, name)
        if found is None:
            raise MissingName(names.missing(f'{self.__name__}.{name}'))
        setattr(self, name, found)
        return found


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Answers for `ray` and everything below it."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname != 'ray' and not fullname.startswith('ray.'):
            return None
        if not names.is_module(fullname):
            raise MissingName(names.missing(fullname), name=fullname)
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec):
        module = _Module(spec.name, f'Stands in for {spec.name} (headrace.compat).')
        module.__path__ = []
        return module

    def exec_module(self, module):
        names.entered(module.__name__)


def install():
    """Makes `import ray` mean headrace in this process."""
    if not any(isinstance(f, _Finder) for f in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def run(argv):
    """Runs a script as __main__."""
    import runpy
    if not argv or argv[0] in ('-h', '--help'):
        print('usage: python -m headrace.compat SCRIPT.py [ARGUMENTS]', file=sys.stderr)
        return 2
    install()
    sys.argv = list(argv)
    import os
    sys.path.insert(0, os.path.dirname(os.path.abspath(argv[0])))
    runpy.run_path(argv[0], run_name='__main__')
    return 0
