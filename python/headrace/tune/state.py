# SPDX-License-Identifier: Apache-2.0
"""An experiment on disk. Every file appears whole, and after each change, so that the driver may be killed at any time.

    experiment.json          trials: status, metrics, checkpoints, errors; what was read at the sources
    tuner.pickle             trainable, parameter space and configuration, as far as they can be pickled
    search.pickle            search algorithm and scheduler
    NAME/setting.pickle      the setting of a trial; params.json is the same to be read by people
    NAME/metrics.jsonl       its reports, a line each
    NAME/error.pickle        the exception that ended it
    NAME/checkpoint_000000   its checkpoints

Datasets are not pickled: a dataset stands there under its name, and who restores the experiment gives it again.
"""

import fcntl
import io
import json
import os
import pickle

from . import space as _space

STATE, TUNER, SEARCH, LOCK = 'experiment.json', 'tuner.pickle', 'search.pickle', 'experiment.lock'
VERSION = 1


class MissingDataset(ValueError):
    """What is restored needs a dataset that was not given again."""


def write_atomically(path, data):
    """The file has its old content or the new one, whatever happens."""
    beside = f'{path}.new'
    with open(beside, 'wb') as f:
        f.write(data)
        f.flush()
        os.fsync(f.fileno())
    os.replace(beside, path)
    folder = os.open(os.path.dirname(path) or '.', os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class Names:
    """Datasets by name, in both directions: as they stand in the trainer and in the parameter space."""

    def __init__(self, datasets, param_space):
        from ..dataset import Dataset
        self.by_name, self._names = {}, {}
        given = [(f'datasets/{name}', d) for name, d in (datasets or {}).items()]
        given += [(f'param_space/{i}', v) for i, v in enumerate(_space.values_in(param_space or {}))]
        for name, value in given:
            if isinstance(value, Dataset) and id(value) not in self._names:
                self.by_name[name], self._names[id(value)] = value, name

    def name_of(self, dataset):
        return self._names.get(id(dataset))

    def dumps(self, value):
        """Bytes, in which datasets are names."""
        from ..dataset import Dataset
        try:
            import cloudpickle
            base = cloudpickle.CloudPickler
        except ImportError:
            base = pickle.Pickler
        names = self

        class Pickler(base):
            def persistent_id(self, thing):
                if isinstance(thing, Dataset):
                    name = names.name_of(thing)
                    if name is None:
                        raise pickle.PicklingError('a dataset that is neither the trainer\'s nor in param_space')
                    return name
                return None

        to = io.BytesIO()
        Pickler(to).dump(value)
        return to.getvalue()

    def loads(self, data):
        names = self

        class Unpickler(pickle.Unpickler):
            def persistent_load(self, name):
                if name not in names.by_name:
                    raise MissingDataset(f'the experiment uses a dataset ({name}), and datasets are not kept with it: '
                                         'Tuner.restore(path, trainable=..., param_space=...) with what the Tuner was given')
                return names.by_name[name]

        return Unpickler(io.BytesIO(data)).load()


class Folder:
    """The folder of an experiment, held by one process at a time."""

    def __init__(self, path):
        self.path = os.path.abspath(path)
        os.makedirs(self.path, exist_ok=True)
        self._lock = open(self.at(LOCK), 'a')  # noqa: SIM115: held as long as the experiment runs
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise RuntimeError(f'{self.path}: another process runs this experiment') from None

    def close(self):
        self._lock.close()

    def at(self, *parts):
        return os.path.join(self.path, *parts)

    def write_json(self, name, value):
        write_atomically(self.at(name), json.dumps(value, indent=1, default=repr).encode())

    def write_trial(self, trial, names):
        os.makedirs(trial.folder, exist_ok=True)
        write_atomically(os.path.join(trial.folder, 'params.json'),
                         json.dumps(trial.setting, indent=1, default=repr, skipkeys=True).encode())
        try:
            data = names.dumps(trial.setting)
        except Exception as e:
            raise type(e)(f'{trial.name}: its setting cannot be kept: {e}') from None
        write_atomically(os.path.join(trial.folder, 'setting.pickle'), data)


def read_json(path):
    with open(path, encoding='utf-8') as f:
        return json.load(f)


def read_bytes(path):
    with open(path, 'rb') as f:
        return f.read()


def read_metrics(folder, count=None):
    """The reports of a trial; a last line that is not whole is left out."""
    found = []
    try:
        with open(os.path.join(folder, 'metrics.jsonl'), encoding='utf-8') as f:
            for line in f:
                if not line.endswith('\n'):
                    break
                found.append(json.loads(line))
    except FileNotFoundError:
        pass
    return found if count is None else found[:count]


def cut_metrics(folder, count):
    """Reports after the checkpoint that a trial resumes from come again: they are taken out."""
    kept = read_metrics(folder, count)
    write_atomically(os.path.join(folder, 'metrics.jsonl'), ''.join(json.dumps(m) + '\n' for m in kept).encode())
    return kept


def restored_path(path):
    path = os.path.abspath(os.path.expanduser(os.fspath(path)))
    if not os.path.exists(os.path.join(path, STATE)):
        raise FileNotFoundError(f'{path}: no experiment ({STATE}) there')
    try:
        found = dict(read_json(os.path.join(path, STATE)))
    except (ValueError, TypeError) as e:
        raise ValueError(f'{path}: {STATE} is not what an experiment left: {e}') from None
    if found.get('version') != VERSION:
        raise ValueError(f"{path}: an experiment of version {found.get('version')}; this is version {VERSION}")
    return path, found
