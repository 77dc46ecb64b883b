# SPDX-License-Identifier: Apache-2.0
"""What a training loop calls in its worker: its shard of a dataset, its rank, report, the checkpoint to go on from."""

import inspect
import json
import os
import time

from .._feeds import Feeds, Passes, stream_options
from .checkpoint import Checkpoint

_session = None  # in a worker: its end of the trainer
_setup = {}  # what the trainer told all workers: orders of datasets, a checkpoint of another run
_shards = {}
_began = None  # when the loop first asked for batches


class DatasetShard(Feeds):
    """A worker's part of a dataset, with the iter_ functions of Dataset. A second pass with equal options is the next epoch
    of the same stream; epochs=N says how many there will be, so that nothing is read ahead for another one.

    After a restart it stands where the checkpoint was reported, at the row. A loop that goes on from there:
        for epoch in shard.epochs(10):
            for batch in shard.iter_batches(batch_size=256, shuffle='window', seed=1):
                ...
    """

    def __init__(self, session, name):
        self._session, self._name = session, name
        self._passes = Passes(lambda **options: session.feed(name, **options))
        self._order = _setup.get('orders', {}).get(name, {})
        self._expected = None  # passes, while epochs() is under way
        self._restored = _restored('positions').get(name, {}).get('epoch', 0)

    def _options(self, batch_size, order):
        if order.get('drop_last'):
            order.setdefault('tail', 'drop')  # the loop's word, over what the trainer does by default
        order = {**self._order, **order}
        epochs = order.pop('epochs', None)
        return epochs, stream_options(batch_size, **order)

    def _begin(self, form, batch_size, order):
        global _began
        _began = _began or time.monotonic()
        return self._passes.batches(form, *self._options(batch_size, order), self._expected)

    def _schema(self, batch_size, order):
        return self._passes.schema(*self._options(batch_size, order), self._expected)

    @property
    def epoch(self):
        """The number of the epoch that it stands in."""
        state = self._passes.state_dict()
        return self._restored if state is None else state['epoch']

    def epochs(self, count):
        """Numbers of epochs below count, from the one on where it stands: 0, or that of the checkpoint. Passes that begin
        within read nothing ahead for epochs after those."""
        self._expected = count
        try:
            yield from range(self.epoch, count)
        finally:
            self._expected = None

    def state_dict(self):
        """Where it stands in the pass that was begun last: JSON can carry it, and any one rank's restores all."""
        return self._passes.state_dict()

    def load_state_dict(self, state):
        """The next pass goes on from what state_dict said, at any number of workers."""
        self._passes.load_state_dict(state)

    def stats(self):
        return self._session.stats(self._name)

    def feed_stats(self):
        """Where this worker's time went, in the last stream it read."""
        return self._passes.stats()


def _restored(what):
    """What the checkpoint that this run goes on from says of 'positions' or 'metrics'."""
    folder = _in_worker().checkpoint
    if folder is None:
        return {}
    with open(os.path.join(folder, 'headrace.json'), 'rb') as f:
        return json.load(f).get(what) or {}


def call_loop(loop, config):
    """The user's function, which takes its configuration or nothing."""
    return loop(config if config is not None else {}) if inspect.signature(loop).parameters else loop()


def open_session(session):
    global _session
    _session = session
    _shards.clear()


def set_up(told):
    _setup.clear()
    _setup.update(told)


def figures():
    """What reading cost this worker, for its end; b'': nothing was read, or it cannot be told, which is no failure."""
    from .._figures import merged
    from .page import carried
    try:
        found = None
        for shard in _shards.values():
            found = merged(found, shard._passes.figures())
        return carried(found, time.monotonic() - _began) if found else b''
    except Exception:
        return b''


def close_session():
    global _session, _began
    _session = _began = None
    for shard in _shards.values():
        shard._passes.clear()
    _shards.clear()


def _in_worker():
    if _session is None:
        raise RuntimeError('this belongs into the training loop of a Trainer: no worker is running here')
    return _session


def get_dataset_shard(name='train'):
    """This worker's shard of a dataset of the trainer; NotFoundError, with the names that there are, for any other."""
    session = _in_worker()
    there = _setup.get('orders')
    if there is not None and name not in there:
        from .. import _core
        raise _core.NotFoundError(f'the trainer has no dataset {name!r}; it has '
                                  + (', '.join(map(repr, there)) or 'none: give it datasets={"train": ...}'))
    if name not in _shards:
        _shards[name] = DatasetShard(session, name)
    return _shards[name]


def report(metrics=None, /, *, checkpoint=None, **more):
    """Metrics for the script, and a checkpoint. Metrics alone never block: when the script lags, older ones are replaced. A
    checkpoint is in the run's folder, with where every feed stands, when this returns; that of the lowest rank is kept."""
    if metrics is not None and not isinstance(metrics, dict):
        raise TypeError(f'report: a dict of metrics, or metrics by name, not {metrics!r:.100}')
    session, text = _in_worker(), json.dumps({**_count(), **(metrics or {}), **more}, default=_plain)
    if checkpoint is None:
        session.report(text)
        return
    if not isinstance(checkpoint, Checkpoint):
        raise TypeError(f'checkpoint: Checkpoint.from_dict(...) or Checkpoint.from_directory(...), not {checkpoint!r:.100}')
    with checkpoint.as_directory(within=_setup.get('folder')) as folder:
        session.report_checkpoint(text, folder)


def _count():
    """In a trial reports are counted here, since those of a fast loop are replaced on their way."""
    if not _setup.get('counted'):
        return {}
    if 'reports' not in _setup:
        _setup['reports'] = _restored('metrics').get('training_iteration', 0)
    _setup['reports'] += 1
    return {'training_iteration': _setup['reports']}


def get_checkpoint():
    """The checkpoint to go on from: of this run after a restart, else what resume_from_checkpoint said, else None."""
    folder = _in_worker().checkpoint or _setup.get('checkpoint')
    return None if folder is None else Checkpoint.from_directory(folder)


def _plain(value):
    return value.tolist() if hasattr(value, 'tolist') else value.item() if hasattr(value, 'item') else str(value)


def world_rank():
    return _in_worker().rank


def world_size():
    return _in_worker().world_size


def local_rank():
    """On one machine the same as world_rank."""
    return _in_worker().rank


def print_line(text):
    """Prints a line through the script, in the order of this worker's lines."""
    _in_worker().line(str(text))
