# SPDX-License-Identifier: Apache-2.0
"""Checkpoint: what a training loop saves, as a dict or as a folder of files.

In a run's folder it also holds headrace.json (where each feed stood) and preprocessor.json (the fitted preprocessor).
"""

import base64
import contextlib
import json
import os
import pickle
import re
import shutil
import tempfile

DICT_FILE = 'checkpoint.pickle'
PREPROCESSOR_FILE = 'preprocessor.json'
OURS = (PREPROCESSOR_FILE, 'headrace.json', 'session.json')  # beside the user's files


class Checkpoint:
    """Checkpoint(path), or one of from_directory, from_dict."""

    def __init__(self, path=None, *, data=None, preprocessor=None):
        if (path is None) == (data is None):
            raise ValueError('a checkpoint is a folder or a dict: Checkpoint.from_directory(path) or Checkpoint.from_dict(data)')
        self.path = None if path is None else os.path.abspath(os.fspath(path))
        self._data, self._preprocessor = data, preprocessor
        if self.path is not None and not os.path.isdir(self.path):
            raise FileNotFoundError(f'checkpoint {self.path}: no such folder')

    @classmethod
    def from_directory(cls, path):
        return cls(path)

    @classmethod
    def latest(cls, run_folder):
        """The newest one that a run left in its folder, or None. What was not written whole is not among them."""
        try:
            names = [n for n in os.listdir(run_folder) if re.fullmatch(r'checkpoint_\d+', n)]
        except FileNotFoundError:
            return None
        return cls(os.path.join(run_folder, max(names, key=lambda n: int(n[11:])))) if names else None

    @classmethod
    def from_dict(cls, data, *, preprocessor=None):
        if not isinstance(data, dict):
            raise TypeError(f'from_dict takes a dict, not {type(data).__name__}')
        return cls(data=dict(data), preprocessor=preprocessor)

    def to_dict(self):
        """The dict it was made of; of a folder of other files a dict of their names and bytes."""
        if self._data is not None:
            return dict(self._data)
        file = os.path.join(self.path, DICT_FILE)
        if os.path.exists(file):
            with open(file, 'rb') as f:
                return pickle.load(f)
        found = {}
        for folder, _, names in os.walk(self.path):
            for name in names:
                file = os.path.join(folder, name)
                if os.path.relpath(file, self.path) not in OURS:
                    with open(file, 'rb') as f:
                        found[os.path.relpath(file, self.path)] = f.read()
        return found

    def to_directory(self, path=None):
        """Copies it to a folder (a new one when none is named) and returns its path."""
        path = tempfile.mkdtemp(prefix='headrace-checkpoint-') if path is None else os.fspath(path)
        if self._data is None:
            shutil.copytree(self.path, path, dirs_exist_ok=True)
            return path
        from .. import _function
        os.makedirs(path, exist_ok=True)
        with open(os.path.join(path, DICT_FILE), 'wb') as f:
            f.write(_function.pickled(self._data, 'a checkpoint'))
        if self._preprocessor is not None:
            with open(os.path.join(path, PREPROCESSOR_FILE), 'wb') as f:
                f.write(saved_preprocessor(self._preprocessor))
        return path

    @contextlib.contextmanager
    def as_directory(self, *, within=None):
        """Its folder, to be read only; of a dict a folder that is gone afterwards. within: where that one is made, a run's folder,
        which is cleaned of it when the process was killed meanwhile."""
        if self.path is not None:
            yield self.path
            return
        path = tempfile.mkdtemp(prefix='.staged.', dir=within) if within else tempfile.mkdtemp(prefix='headrace-checkpoint-')
        try:
            self.to_directory(path)
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def get_preprocessor(self):
        """The fitted preprocessor of the run, or None."""
        if self.path is None:
            return self._preprocessor
        try:
            with open(os.path.join(self.path, PREPROCESSOR_FILE), 'rb') as f:
                return loaded_preprocessor(f.read())
        except FileNotFoundError:
            return None

    def __repr__(self):
        return f'Checkpoint({self.path!r})' if self.path else f'Checkpoint.from_dict({sorted(self._data)})'


def saved_preprocessor(preprocessor):
    """The bytes of preprocessor.json: what the library can load (prep), and the Python object."""
    from .. import _function
    saved = {'python': base64.b64encode(_function.pickled(preprocessor, 'the preprocessor')).decode(),
             'repr': repr(preprocessor)}
    if getattr(preprocessor, '_saved', None):
        saved['prep'] = json.loads(preprocessor._saved)
    return json.dumps(saved, indent=1).encode()


def loaded_preprocessor(data):
    saved = json.loads(data)
    return pickle.loads(base64.b64decode(saved['python'])) if 'python' in saved else None
