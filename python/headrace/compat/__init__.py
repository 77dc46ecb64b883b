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


class MissingModule(ImportError):
    """A module of Ray (or a name imported from one) that headrace.compat does not provide."""


class MissingName(AttributeError):
    """A name of Ray that headrace.compat does not provide."""


class _Module(types.ModuleType):
    """A module of the table: what it has is looked up when asked for."""

    def __getattr__(self, name):
        if name.startswith('__') and name != '__version__':
            raise AttributeError(name)
        found = names.lookup(self.__name__, name)
        if found is None:
            raise MissingName(names.missing(f'{self.__name__}.{name}'))
        return found

    def __reduce__(self):
        return imported, (self.__name__,)


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Answers for `ray` and everything below it."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname != 'ray' and not fullname.startswith('ray.'):
            return None
        if not names.is_module(fullname):
            raise MissingModule(names.missing(fullname), name=fullname)
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


def imported(name):
    """A module of the table in another process, where a pickled function names it."""
    import importlib
    install()
    return importlib.import_module(name)


def run(argv):
    """Runs a script, or with -m the ingest check of either era, as __main__."""
    import os
    import runpy
    if not argv or argv[0] in ('-h', '--help') or argv == ['-m']:
        print('usage: python -m headrace.compat SCRIPT.py [ARGUMENTS]\n'
              '       python -m headrace.compat -m ray.air.util.check_ingest [-e EPOCHS] [-b PREFETCH_BLOCKS]', file=sys.stderr)
        return 2
    install()
    if argv[0] == '-m':
        names.entered(argv[1])
        if not argv[1].endswith('.check_ingest') or not names.is_module(argv[1]):
            raise MissingModule(names.missing(argv[1]), name=argv[1])
        from . import check
        return check.main(argv[2:], seed=argv[1].startswith('ray.ml.'))
    sys.argv = list(argv)
    sys.path[0] = os.path.dirname(os.path.abspath(argv[0]))
    names.enter_script(argv[0])
    runpy.run_path(argv[0], run_name='__main__')
    return 0
