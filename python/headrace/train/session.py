# SPDX-License-Identifier: Apache-2.0
"""What a training loop calls in its worker: its shard of a dataset, its rank, report."""

import json

from .._feeds import Batches, Feeds, Passes, stream_options

_session = None  # in a worker: its end of the trainer
_shards = {}


class DatasetShard(Feeds):
    """A worker's part of a dataset, with the iter_ functions of Dataset. A second pass with equal options is the next epoch
    of the same stream; epochs=N says how many there will be, so that nothing is read ahead for another one."""

    def __init__(self, session, name):
        self._session, self._name = session, name
        self._passes = Passes(lambda **options: session.feed(name, **options))

    def _begin(self, form, batch_size, order):
        order = dict(order)
        epochs = order.pop('epochs', None)
        return Batches(self._passes.feed(epochs, stream_options(batch_size, **order)), form, ends=False)

    def _schema(self, batch_size, order):
        order = dict(order)
        epochs = order.pop('epochs', None)
        return self._passes.schema(epochs, stream_options(batch_size, **order))

    def stats(self):
        return self._session.stats(self._name)

    def feed_stats(self):
        """Where this worker's time went, in the last stream it read."""
        return self._passes.last.stats()


def open_session(session):
    global _session
    _session = session
    _shards.clear()


def close_session():
    global _session
    _session = None
    for shard in _shards.values():
        shard._passes.clear()
    _shards.clear()


def _in_worker():
    if _session is None:
        raise RuntimeError('this belongs into the training loop of a Trainer: no worker is running here')
    return _session


def get_dataset_shard(name='train'):
    """This worker's shard of a dataset of the trainer."""
    session = _in_worker()
    if name not in _shards:
        _shards[name] = DatasetShard(session, name)
    return _shards[name]


def report(metrics=None, /, **more):
    """Metrics for the script; never blocks: when the script lags, older ones are replaced."""
    _in_worker().report(json.dumps({**(metrics or {}), **more}, default=_plain))


def _plain(value):
    return value.item() if hasattr(value, 'item') else str(value)


def world_rank():
    return _in_worker().rank


def world_size():
    return _in_worker().world_size


def print_line(text):
    """Prints a line through the script, in the order of this worker's lines."""
    _in_worker().line(str(text))
