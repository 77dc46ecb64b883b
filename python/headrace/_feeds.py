# SPDX-License-Identifier: Apache-2.0
"""What gives batches: iter_batches and its kin, the same for a Dataset, a worker's shard and a pipeline.

Each of them opens a feed (in C) and says in which form its batches are wanted. Rows are cut, shuffled, packed and made ahead
by the feed; arrays and tensors are views of its batches. Nothing here loops over rows but iter_rows.
"""

import weakref

from ._numbers import optional, seed_of, whole

_SHUFFLES = {'none': 0, 'blocks': 1, 'window': 2, 'global': 3, None: 0}
TAILS = {'uneven': 0, 'drop': 1, 'pad': 2, None: 0}

_WORDS = ('batch_size, global_batch_size, tail, drop_last, shuffle, seed, window_rows, order_lanes, prefetch_batches and '
          'prefetch_blocks; of a Dataset also epoch, of a shard epochs')
_ELSEWHERE = {'local_shuffle_buffer_size': ": shuffle='window' with window_rows=... mixes rows, ahead of the loop",
              'local_shuffle_seed': ": shuffle='window' with seed=...",
              'epoch': ' here: epochs follow each other; a Dataset has it', 'epochs': ' here: a shard in a training loop has it'}


def stream_options(batch_size, *, drop_last=False, prefetch_batches=None, prefetch_blocks=None, shuffle='none', seed=0,
                   window_rows=None, order_lanes=None, global_batch_size=None, tail=None, **unknown):
    """The words of Python as the options of the library. All iter_ functions take these."""
    if unknown:
        name = next(iter(unknown))
        raise TypeError(f'there is no option {name!r}' + _ELSEWHERE.get(name, f': how rows come is said by {_WORDS}'))
    if shuffle not in _SHUFFLES:
        raise ValueError(f"shuffle {shuffle!r}: 'none', 'blocks', 'window' or 'global'")
    if batch_size is not None and whole('batch_size', batch_size) <= 0:
        raise ValueError(f'batch_size {batch_size}: a positive number of rows, or None for whole blocks')
    if tail not in TAILS:
        raise ValueError(f"tail {tail!r}: 'uneven', 'drop' or 'pad'")
    if global_batch_size is not None and whole('global_batch_size', global_batch_size, least=1):
        batch_size = None  # the ranks' parts of it
    ahead = prefetch_blocks if prefetch_blocks is not None else prefetch_batches
    if ahead is not None:
        whole('prefetch_batches' if prefetch_blocks is None else 'prefetch_blocks', ahead, least=0)
    ahead = 0 if ahead is None else ahead or -1  # the library's 0 is automatic, -1 is none
    return {'batch_rows': batch_size or 0, 'drop_last': drop_last, 'prefetch_blocks': ahead,
            'shuffle': _SHUFFLES[shuffle], 'seed': seed_of(seed), 'window_rows': optional('window_rows', window_rows),
            'order_lanes': optional('order_lanes', order_lanes),
            'global_batch_rows': global_batch_size or 0, 'tail': TAILS[tail]}


class Batches:
    """An iterator over the batches of a feed, each in the form that was asked for.

    ends: the feed is this iterator's own and closed at the end. epochs: it goes on through all of the feed's epochs.
    """

    def __init__(self, feed, form, *, ends=True, epochs=False, turn=None):
        self._feed, self._form, self._ends, self._epochs, self._turn = feed, form, ends, epochs, turn
        self._state = None  # ended: where

    def __iter__(self):
        return self

    def __next__(self):
        if self._feed is None:
            raise StopIteration
        try:
            batch = next(self._feed)
        except StopIteration:
            if self._epochs and self._feed.next_epoch():
                return self.__next__()
            self.close()
            raise
        try:
            return self._form(batch)
        except StopIteration as e:  # of a function of the user: it would end the loop as if the rows were over
            raise RuntimeError('what makes the batches (collate_fn) raised StopIteration') from e

    def close(self):
        """Ends it early: what was made ahead is given back. Batches that are held stay valid."""
        if self._feed is not None:
            self._state = self._feed.state_dict()
            if self._ends:
                self._feed.close()
        self._feed = None

    def state_dict(self):
        """Where it stands, after the last batch it gave: a few hundred bytes that JSON can carry. Any one rank's restores all,
        at any number of workers and any prefetch."""
        return self._state if self._feed is None else self._feed.state_dict()

    def load_state_dict(self, state):
        """Goes on from what state_dict said. Refused (InvalidError) for other data or another order."""
        if self._feed is None:
            raise ValueError('this iterator has ended or was closed: ask for a new one and load the state there')
        self._feed.load_state_dict(state)
        if self._turn is not None:
            self._turn.begin()


class _Turn:
    """The feed of one set of options and the pass over it that is under way; closed: where the next one begins."""

    def __init__(self):
        self.feed = self.state = self.figures = self.total = None
        self.epoch = 0
        self.reader = None  # a weak reference
        self.again = False  # asked for more than once
        self.wanted = False  # whoever will read it is not there yet

    def begin(self):
        self.epoch = self.feed.position()['epoch']

    def rests(self):
        reader = self.reader and self.reader()
        return self.feed is not None and not self.wanted and (reader is None or reader._feed is None)

    def close(self):
        from ._figures import merged, of_feed
        self.figures = of_feed(self.feed)
        self.total = merged(self.total, self.figures)
        self.state = {**self.feed.state_dict(), 'epoch': self.epoch + 1, 'step': 0, 'row': 0, 'unit': 0, 'unit_row': 0,
                      'order_row': 0, 'more_units': 0}
        self.feed.close()
        self.feed = None


class Passes:
    """Feeds that are read in passes: a pass with equal options is the next epoch of the same stream.

    A stream has begun its next epoch when this one ends, and keeps the room that it was promised. So one whose options were
    asked for once is closed when others are (a loop with another seed in each epoch leaves a stream a turn behind), and
    opened again where it stood if they are asked for again; such stay, as long as there is room.
    """
    _all = weakref.WeakSet()  # those of this process

    def __init__(self, opened):
        self._opened, self._turns = opened, {}
        self._last = None  # the turn that was begun last
        self.loaded = None  # where the next feed that is opened goes on
        self._all.add(self)

    def batches(self, form, epochs, options, expected=None):
        """The next pass. epochs: how many there will be, so that nothing is read ahead for another one; None: unknown.
        expected: the same as a guess, after which more may come."""
        turn = self._next(epochs, options, expected)
        made = Batches(turn.feed, form, ends=False, turn=turn)
        turn.reader, turn.wanted = weakref.ref(made), False
        return made

    def schema(self, epochs, options, expected=None):
        """The schema of the feed that the next pass with these options reads."""
        turn = self._turns.get(_key(epochs, options))
        if turn is None or turn.feed is None:
            turn = self._next(epochs, options, expected)
        return turn.feed.schema

    def _next(self, epochs, options, expected):
        from . import _core
        turn = self._turns.setdefault(_key(epochs, options), _Turn())
        opened, turn.again = turn.feed is not None, turn.again or turn.reader is not None
        if not opened:
            self._close_resting(lambda other: not other.again)
            turn.feed = self._open(turn, epochs or self._left(turn, expected), options)
        elif not turn.wanted:
            turn.wanted = True
            turn.wanted = turn.feed.next_epoch()
            if not turn.wanted and epochs is None:  # more than were expected
                turn.close()
                turn.feed = self._open(turn, None, options)
            elif not turn.wanted:
                raise _core.InvalidError(f'there are {epochs} passes over this, as was asked for, and no more')
        turn.wanted = True
        turn.begin()
        self._last = turn
        return turn

    def _left(self, turn, expected):
        state = turn.state or self.loaded
        return expected if expected and (state is None or state['epoch'] < expected) else None

    def _close_resting(self, which):
        resting = [turn for turn in self._turns.values() if turn.rests() and which(turn)]
        for turn in resting:
            turn.close()
        return bool(resting)

    def _open(self, turn, epochs, options):
        from . import _core
        try:
            return self._open_at(turn.state, epochs, options)
        except _core.LimitError:
            if not any([passes._close_resting(lambda turn: True) for passes in list(self._all)]):
                raise
        return self._open_at(turn.state, epochs, options)

    def _open_at(self, state, epochs, options):
        state = state or self.loaded
        if state is None:
            return self._opened(epochs=epochs or -1, **options)
        import json  # here, since it takes as long to import as all the rest

        from . import _core
        left = epochs - state['epoch'] if epochs else -1
        if epochs and left <= 0:
            raise _core.InvalidError(f'the state that was loaded is behind the last of the {epochs} passes'
                                     if state is self.loaded else
                                     f'there are {epochs} passes over this, as was asked for, and no more')
        feed = self._opened(epochs=left, **options, position=json.dumps(state))
        if state is self.loaded:
            self.loaded = None
        return feed

    def state_dict(self):
        """Where the last pass stands; None: nothing was read yet."""
        turn = self._last
        return self.loaded if turn is None else turn.state if turn.feed is None else turn.feed.state_dict()

    def load_state_dict(self, state):
        self.clear()
        self.loaded = dict(state)

    def stats(self):
        """Where the reader's time went in the last stream that it read."""
        return self._last.figures if self._last.feed is None else self._last.feed.stats()

    def figures(self):
        """What all streams that were read cost together; None: there were none."""
        from ._figures import merged, of_feed
        found = None
        for turn in self._turns.values():
            for one in (turn.total, turn.feed and of_feed(turn.feed)):
                found = merged(found, one)
        return found

    def clear(self):
        self._turns.clear()
        self._last = None


def _key(epochs, options):
    return (epochs, *sorted(options.items()))


class Feeds:
    """The iter_ functions. Whoever has them has _begin, which opens a feed, and may have _packing, which packs in C.

    order, in all of them: drop_last, prefetch_blocks (or prefetch_batches: how many are made ahead; None: found from the data
    and the budget; 0: none), shuffle ('none', 'blocks', 'window', 'global'), seed, window_rows, order_lanes;
    global_batch_size (rows a step over all workers, instead of batch_size), tail ('uneven', 'drop', 'pad': what becomes of
    the rows that do not fill an epoch's last step); of a Dataset also epoch, the number of the epoch whose order is wanted;
    of a shard epochs, how many passes there will be at most.
    """

    def _begin(self, form, batch_size, order):
        """A Batches over a feed with these options."""
        raise NotImplementedError

    def _schema(self, batch_size, order):
        """The schema of such a feed."""
        raise NotImplementedError

    def _packing(self, packs, nulls, others=None):
        """The same with columns packed in C, [(columns, name, type id), ...], beside the columns `others` (None: all that
        are not packed). None: it cannot."""
        return None

    def _next_pass(self, passes):
        """The order that makes pass number `passes` the next epoch, where passes do not count themselves."""
        return {}

    def iter_rows(self, **order):
        """Rows as dicts of Python values. Slow, as all that handles single rows."""
        from .dataset import rows_of
        for rows in self._begin(rows_of, None, order):
            yield from rows

    def iter_batches(self, *, batch_size=256, batch_format='numpy', tensor=None, nulls='error', **order):
        """Batches of exactly batch_size rows (the last may have fewer), or whole blocks (None), made ahead in C.

        batch_format: 'numpy' (read-only views), 'pandas', 'pyarrow', 'torch' and 'tf' and 'jax' (seen by nobody else), None
        (Batch). tensor: a list of number columns: each batch is one [rows, columns] float32 array; a dict of name to such
        lists packs them beside the other columns. nulls: 'error', 'nan' or a number. order: see Feeds.
        """
        from . import _convert
        form = _convert.former(batch_format, nulls)
        if tensor is None:
            return self._begin(form, batch_size, order)
        whole = not isinstance(tensor, dict)
        if whole and batch_format not in ('numpy', 'torch', 'tf', 'jax'):
            raise ValueError(f"tensor goes with batch_format 'numpy', 'torch', 'tf' or 'jax', not {batch_format!r}")
        packs = [(_names(columns), name, 0) for name, columns in ({'tensor': tensor} if whole else tensor).items()]
        there = self._packing(packs, nulls, [] if whole else None)
        if there is None:
            there, form = self, _convert.packed_former(packs, batch_format, nulls, not whole)
        last = (lambda batch: form(batch)['tensor']) if whole else form
        return there._begin(last, batch_size, order)

    # --- PyTorch ---

    def iter_torch_batches(self, *, batch_size=256, dtypes=None, device=None, collate_fn=None, tensor=None, nulls='error',
                           **order):
        """Dicts of tensors. dtypes: one, or a dict by column. device: where they go. collate_fn: called with the dict of
        (writable) NumPy arrays instead; what it returns is the batch."""
        from . import torch
        if collate_fn is not None:
            if dtypes is not None or tensor is not None:
                raise ValueError('collate_fn makes the tensors itself: leave dtypes and tensor out')
            return self._begin(torch.collated(collate_fn, device, nulls), batch_size, order)
        made = self.iter_batches(batch_size=batch_size, batch_format='torch', tensor=tensor, nulls=nulls, **order)
        made._form = torch.placed(made._form, dtypes, device)
        return made

    def torch_dataset(self, *, batch_size=256, **options):
        """A torch IterableDataset of what iter_torch_batches gives; each pass over it is the next epoch.

        For DataLoader(ds, batch_size=None, num_workers=0): batches are made ahead by headrace's own threads.
        """
        from . import torch
        return torch.IterableDataset(self, lambda order: self.iter_torch_batches(
            batch_size=batch_size, **{**options, **order}))

    def to_torch(self, *, label_column=None, feature_columns=None, label_column_dtype=None, feature_column_dtypes=None,
                 batch_size=1, drop_last=False, unsqueeze_label_tensor=True, unsqueeze_feature_tensors=True, nulls='error',
                 **order):
        """A torch IterableDataset of (features, label).

        feature_columns: a list: one tensor [rows, columns]; a list of lists: a list of such; a dict of lists: a dict of such;
        None: all columns but the label. feature_column_dtypes: one, or as feature_columns is. The label is [rows, 1], or
        [rows] with unsqueeze_label_tensor=False; without label_column it is None. unsqueeze_feature_tensors=False: tensor
        columns are joined along their second dimension as they are.
        """
        from . import torch
        plan = torch.Features(self, label_column, feature_columns, label_column_dtype, feature_column_dtypes,
                              unsqueeze_label_tensor, unsqueeze_feature_tensors, nulls)
        order['drop_last'] = drop_last
        return torch.IterableDataset(self, lambda more: plan.begin(batch_size, {**order, **more}))

    # --- TensorFlow ---

    def iter_tf_batches(self, *, batch_size=256, dtypes=None, tensor=None, nulls='error', **order):
        """Dicts of TensorFlow tensors in the batches' own memory. dtypes: one, or a dict by column."""
        from . import tf
        made = self.iter_batches(batch_size=batch_size, batch_format='tf', tensor=tensor, nulls=nulls, **order)
        made._form = tf.placed(made._form, dtypes)
        return made

    def to_tf(self, *, label_column=None, feature_columns=None, output_signature=None, batch_size=256, drop_last=False,
              nulls='error', **order):
        """A tf.data.Dataset of (features, label), or of features without label_column; each pass is the next epoch.

        feature_columns: as in to_torch, a list of lists giving a tuple. output_signature: a tf.TypeSpec of the same
        structure; None: found from the columns. Types that differ from the signature's are cast.
        """
        from . import tf
        order['drop_last'] = drop_last
        return tf.dataset(self, label_column, feature_columns, output_signature, batch_size, nulls, order)

    # --- JAX ---

    def iter_jax_batches(self, *, batch_size=256, dtypes=None, device=None, tensor=None, nulls='error', **order):
        """Dicts of jax.Array, by DLPack in the batches' own memory. device: a device or a sharding."""
        from . import jax
        made = self.iter_batches(batch_size=batch_size, batch_format='jax', tensor=tensor, nulls=nulls, **order)
        made._form = jax.placed(made._form, dtypes, device)
        return made


def _names(names):
    return [names] if isinstance(names, str) else list(names)
