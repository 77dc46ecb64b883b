# SPDX-License-Identifier: Apache-2.0
"""Search algorithms: which setting is tried next.

The experiment asks suggest(trial_id) for each new trial: a setting, None (wait for trials that run) or FINISHED. It tells the
algorithm of reports and ends. Its state is saved with the experiment's.
"""

import random

from . import space as _space

FINISHED = 'FINISHED'


class Searcher:
    """What the experiment calls. Own algorithms derive from it."""

    def __init__(self, metric=None, mode=None):
        if mode not in (None, 'min', 'max'):
            raise ValueError(f"mode {mode!r}: 'min' or 'max'")
        self.metric, self.mode = metric, mode

    def set_search_properties(self, metric, mode, param_space):
        """What TuneConfig and the Tuner say, where the searcher was not told itself."""
        self.metric, self.mode = self.metric or metric, self.mode or mode

    def total(self):
        """How many trials there will be, None: as many as num_samples says."""
        return None

    def restored(self, created):
        """The experiment goes on with so many trials that there are already."""

    def suggest(self, trial_id):
        raise NotImplementedError

    def on_trial_result(self, trial_id, metrics):
        pass

    def on_trial_complete(self, trial_id, metrics=None, error=False):
        pass


class BasicVariantGenerator(Searcher):
    """All combinations of the grids, num_samples times, the rest drawn at random."""

    def __init__(self, *, points_to_evaluate=None, max_concurrent=0, random_state=None, **ignored):
        super().__init__()
        self.points, self.max_concurrent, self.seed = list(points_to_evaluate or ()), max_concurrent, random_state or 0
        self._settings, self._given = [], 0

    def prepare(self, param_space, num_samples):
        """Settings are made once: few, and the same after a restore. num_samples -1: a round is made when the last is over."""
        self._space, self._endless, self._rng = param_space, num_samples < 0, random.Random(self.seed)
        for _ in range(max(1, num_samples)):
            self._settings += _space.round_of(param_space, self._rng)
        if len(self.points) > len(self._settings):
            raise ValueError(f'points_to_evaluate has {len(self.points)} settings, and there are {len(self._settings)} trials')
        for i, point in enumerate(self.points):
            self._settings[i] = _space.merged(self._settings[i], point)

    def total(self):
        return None if self._endless else len(self._settings)

    def restored(self, created):
        self._given = created

    def suggest(self, trial_id):
        while self._endless and self._given >= len(self._settings):
            self._settings += _space.round_of(self._space, self._rng)
        if self._given >= len(self._settings):
            return FINISHED
        self._given += 1
        return self._settings[self._given - 1]


class ConcurrencyLimiter(Searcher):
    """At most max_concurrent trials of a searcher at once."""

    def __init__(self, searcher, max_concurrent, **ignored):
        if max_concurrent < 1:
            raise ValueError(f'max_concurrent {max_concurrent}: at least one')
        super().__init__(searcher.metric, searcher.mode)
        self.searcher, self.max_concurrent, self._live = searcher, max_concurrent, set()

    def set_search_properties(self, metric, mode, param_space):
        self.searcher.set_search_properties(metric, mode, param_space)

    def total(self):
        return self.searcher.total()

    def restored(self, created):
        self._live.clear()
        self.searcher.restored(created)

    def suggest(self, trial_id):
        if len(self._live) >= self.max_concurrent:
            return None
        made = self.searcher.suggest(trial_id)
        if isinstance(made, dict):
            self._live.add(trial_id)
        return made

    def on_trial_result(self, trial_id, metrics):
        self.searcher.on_trial_result(trial_id, metrics)

    def on_trial_complete(self, trial_id, metrics=None, error=False):
        self._live.discard(trial_id)
        self.searcher.on_trial_complete(trial_id, metrics, error)


class OptunaSearch(Searcher):
    """Optuna draws: its sampler (TPE when None is given) learns from the trials that have ended.

    space: what it searches, when it is not param_space itself. points_to_evaluate: settings to begin with, {"a/b": value}.
    """

    def __init__(self, space=None, metric=None, mode=None, points_to_evaluate=None, sampler=None, seed=None):
        super().__init__(metric, mode)
        self._optuna = _optuna()
        if sampler is not None and seed is not None:
            raise ValueError('seed is for the sampler of OptunaSearch itself: give the one you pass its seed')
        self._space, self._sampler, self._seed = space, sampler, seed
        self._points, self._study, self._trials = list(points_to_evaluate or ()), None, {}
        self._rng = random.Random(seed)  # of what param_space draws beside `space`

    def __getstate__(self):
        return {k: v for k, v in vars(self).items() if k != '_optuna'}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._optuna = _optuna()

    def set_search_properties(self, metric, mode, param_space):
        super().set_search_properties(metric, mode, param_space)
        self._fixed = param_space
        self._searched = {'/'.join(map(str, p)): (p, d)
                          for p, d in _space.domains(param_space if self._space is None else self._space).items()}
        found = _space.grids(param_space)
        if found:
            raise ValueError(f"OptunaSearch draws from choice, uniform, ...: {'/'.join(map(str, next(iter(found))))} is a "
                             'grid_search, which is tried in full without it')
        self._distributions = {name: self._distribution(name, domain) for name, (_, domain) in self._searched.items()
                               if domain.kind != 'sample_from'}
        if not self._distributions:
            raise ValueError('OptunaSearch: param_space has nothing to search (choice, uniform, loguniform, randint, quniform)')
        if not self.metric or not self.mode:
            raise ValueError('OptunaSearch needs to know what is good: TuneConfig(metric=..., mode="min" or "max")')
        self._begin_study()

    def _begin_study(self):
        o = self._optuna
        o.logging.set_verbosity(o.logging.WARNING)
        sampler = self._sampler or o.samplers.TPESampler(seed=self._seed)
        self._study = o.create_study(sampler=sampler, direction='minimize' if self.mode == 'min' else 'maximize')
        for point in self._points:
            self._study.enqueue_trial({name: self._stored(name, value) for name, value in _space.flat(point).items()})

    def _stored(self, name, value):
        domain = self._searched[name][1]
        return domain.parameters['categories'].index(value) if domain.kind == 'choice' else value

    def _distribution(self, name, domain):
        d, p = self._optuna.distributions, domain.parameters
        if domain.kind == 'choice':  # by number: Optuna stores plain values only
            return d.CategoricalDistribution(list(range(len(p['categories']))))
        if domain.kind == 'randint':
            return d.IntDistribution(p['lower'], p['upper'] - 1)
        if domain.kind in ('uniform', 'loguniform', 'quniform'):
            return d.FloatDistribution(p['lower'], p['upper'], log=domain.kind == 'loguniform', step=p.get('q'))
        raise ValueError(f'OptunaSearch has nothing like {domain!r}, at {name}')

    def suggest(self, trial_id):
        trial = self._study.ask(self._distributions)
        self._trials[trial_id] = trial.number
        setting = self._fixed
        for name, (path, domain) in self._searched.items():
            if name in self._distributions:
                value = trial.params[name]
                setting = _space.put(setting, path, domain.parameters['categories'][value] if domain.kind == 'choice' else value)
        return _space.drawn(setting, self._rng)

    def on_trial_complete(self, trial_id, metrics=None, error=False):
        number, state = self._trials.pop(trial_id, None), self._optuna.trial.TrialState
        if number is None:
            return
        value = (metrics or {}).get(self.metric)
        if error or not isinstance(value, (int, float)) or value != value:  # nothing to learn from
            self._study.tell(number, state=state.FAIL)
        else:
            self._study.tell(number, float(value))


def _optuna():
    try:
        import optuna
    except ImportError:
        raise ImportError('OptunaSearch is done by Optuna, which is not installed: pip install optuna') from None
    return optuna
