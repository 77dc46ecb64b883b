# SPDX-License-Identifier: Apache-2.0
"""What trials share: datasets, read once for the whole experiment, and a preprocessor that is fitted once.

A dataset that the trainer was given, or that stands in the parameter space, is materialised when the first trial needs it: its
blocks are in the store, beyond the budget on disk, and every trial reads them there. A function is called in each trial, and
what it makes is that trial's own. Both are counted at the source.

A preprocessor that does not depend on the trial is fitted once. What it makes is shared too where the user's Python functions
make it; what runs in C runs again with each read, which costs less than the memory.
"""

import copy

from .. import preprocessors as _preprocessors
from .._runtime import runtime
from ..dataset import Dataset
from ..train.trainer import check_dataset


class SourceReads(dict):
    """reads: how many times the source was read (rows_read / rows); rows, rows_read, bytes_read; trials that used it; shared;
    calls: of functions, how many times they were called. Keys are attributes too."""

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def _reads(rows_read, rows):
    if rows_read == 0:
        return 0
    if rows <= 0:  # a part of the footers was enough: less than once
        return None
    times = round(rows_read / rows, 3)
    return int(times) if times == int(times) else times


class _Source:
    """A dataset of the experiment: the plan, and its blocks once a trial needed them."""

    def __init__(self, name, dataset, before=None):
        self.name, self.dataset, self.kept, self.trials = name, dataset, None, set()
        self._before = dataset._handle.source_stats()
        self._earlier = before or {}  # by a driver that was killed

    def figures(self):
        now, was = self.dataset._handle.source_stats(), self._before
        rows_read = now['rows_read'] - was['rows_read'] + self._earlier.get('rows_read', 0)
        nbytes = now['bytes_read'] - was['bytes_read'] + self._earlier.get('bytes_read', 0)
        rows = now['rows'] if now['rows'] > 0 else self._earlier.get('rows', now['rows'])
        return SourceReads(reads=_reads(rows_read, rows), rows=rows, rows_read=rows_read, bytes_read=nbytes,
                           trials=max(len(self.trials), self._earlier.get('trials', 0)), shared=True)


class Sharing:
    """names: of the datasets (state.Names). earlier: {name: figures} of what is restored."""

    def __init__(self, names, say, earlier=None):
        self._sources = {id(d): _Source(n, d, (earlier or {}).get(n)) for n, d in names.by_name.items()}
        self._say, self._fitted = say, {}

    # --- datasets ---

    def dataset_of(self, trial, name, value, *, streamed=False):
        """What a trial reads for a value of its datasets: a Dataset, or a function that makes one."""
        if isinstance(value, Dataset):
            return self._shared(trial, value, streamed)
        if callable(value):
            return self._own(trial, name, value, streamed)
        return check_dataset(name, value)

    def _shared(self, trial, dataset, streamed):
        source = self._sources.get(id(dataset))
        if source is None or dataset.is_fully_executed():
            return dataset
        source.trials.add(trial.number)
        if streamed:
            return dataset
        if source.kept is None:
            source.kept, where = _kept(dataset)
            self._say(f'dataset {source.name}: read once for all trials, {where}')
        return source.kept

    def _own(self, trial, name, function, streamed):
        made = check_dataset(name, function(), ', which its function returned,')
        before = made._handle.source_stats()
        kept = made if streamed else made.materialize()
        label = f'{name}: {getattr(function, "__name__", type(function).__name__)}'
        trial.sources.append({'name': label, **_difference(made, before)})
        trial.own.append((len(trial.sources) - 1, made, before))
        return kept

    def trial_ended(self, trial):
        """What its functions made is counted to the end, and given back."""
        for index, made, before in trial.own:
            trial.sources[index].update(_difference(made, before))
        trial.own = []

    def close(self):
        for source in self._sources.values():
            source.kept = None
        self._fitted.clear()

    def figures(self, trials):
        """{name: SourceReads} of the experiment so far."""
        found = {s.name: s.figures() for s in self._sources.values() if s.trials or s._earlier}
        for trial in trials:
            for own in trial.sources:
                reads = found.setdefault(own['name'], SourceReads(reads=0, rows=0, rows_read=0, bytes_read=0, trials=0, calls=0,
                                                                  shared=False))
                once = _reads(own['rows_read'], own['rows'])
                reads['reads'] = None if once is None or reads['reads'] is None else reads['reads'] + once
                reads['trials'], reads['calls'] = reads['trials'] + 1, reads['calls'] + 1
                for key in ('rows', 'rows_read', 'bytes_read'):
                    reads[key] += own[key]
        return found

    # --- preprocessors ---

    def preprocessor_of(self, preprocessor, fit_on, datasets, transformed):
        """The fitted preprocessor of a trial. fit_on: the name of the dataset it learns from, None: nothing is learned;
        datasets: what the trial reads; transformed: names of those it is applied to."""
        if preprocessor is None:
            return None
        learns = preprocessor.fit_status() in (preprocessor.FitStatus.NOT_FITTED, preprocessor.FitStatus.PARTIALLY_FITTED)
        shared = {id(s.kept) for s in self._sources.values() if s.kept is not None}
        if learns and (fit_on is None or id(datasets[fit_on]) not in shared):
            return copy.deepcopy(preprocessor)  # the trainer fits it on the trial's own dataset
        key = (id(preprocessor), id(datasets[fit_on]) if learns else None)
        if key not in self._fitted:
            fitted = preprocessor
            if learns:
                fitted = copy.deepcopy(preprocessor).fit(datasets[fit_on])
                self._say(f'{type(preprocessor).__name__}: fitted once for all trials')
            self._fitted[key] = Shared(fitted, preprocessor)  # keeps the key's object
        made = self._fitted[key]
        for name in transformed:
            if id(datasets[name]) in shared:
                made.apply(datasets[name], name, self._say)
        return made


class Shared(_preprocessors.Preprocessor):
    """A fitted preprocessor that several trials have, with the datasets that it was applied to for all of them. It travels, and
    is saved, as the one it stands for."""

    def __init__(self, fitted, original):
        self._real, self._original, self._applied = fitted, original, {}

    def apply(self, dataset, name, say):
        if id(dataset) in self._applied:
            return
        made = self._real.transform(dataset)
        if any('runs as written' in note for note in made._notes[len(dataset._notes):]):
            made, where = _kept(made)
            say(f'{name}: transformed once for all trials, {where}')
        self._applied[id(dataset)] = (dataset, made)

    def fit_status(self):
        status = self._real.fit_status()
        return status if status is self.FitStatus.NOT_FITTABLE else self.FitStatus.FITTED

    def fit(self, dataset):
        return self

    def transform(self, dataset):
        applied = self._applied.get(id(dataset))
        return self._real.transform(dataset) if applied is None else applied[1]

    def transform_batch(self, batch):
        return self._real.transform_batch(batch)

    def transform_stats(self):
        made = next(iter(self._applied.values()), None)
        return self._real.transform_stats() if made is None else made[1].stats()

    def __getattr__(self, name):
        if name.startswith('__') or name in ('_real', '_original', '_applied'):
            raise AttributeError(name)
        return getattr(self._real, name)

    def __reduce__(self):
        return _itself, (self._real,)

    def __repr__(self):
        return repr(self._real)


def _itself(value):
    return value


def _difference(dataset, before):
    now = dataset._handle.source_stats()
    return {'rows': now['rows'], 'rows_read': now['rows_read'] - before['rows_read'],
            'bytes_read': now['bytes_read'] - before['bytes_read']}


def _kept(dataset):
    """The dataset materialised, and words for where its blocks are."""
    before = runtime().memory()['spilled_bytes']
    made = dataset.materialize()
    spilled = runtime().memory()['spilled_bytes'] - before
    on_disk = f', {_mib(spilled)} spilled to disk' if spilled > 0 else ''
    return made, f'{_mib(made.size_bytes())} kept in the store{on_disk}'


def _mib(nbytes):
    return f'{nbytes / 2**20:,.1f} MiB'
