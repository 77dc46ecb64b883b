# SPDX-License-Identifier: Apache-2.0
"""Schedulers: which trials are not worth going on with, judged by what they report.

A scheduler is told of every report and answers CONTINUE or STOP. Its state is part of the experiment's, so that a restored
experiment decides as it would have.
"""

import math
import random

CONTINUE, STOP = 'CONTINUE', 'STOP'


class TrialScheduler:
    """What the experiment calls. time_attr: the metric that says how far a trial is."""
    time_attr = 'training_iteration'

    def __init__(self, metric=None, mode=None):
        if mode not in (None, 'min', 'max'):
            raise ValueError(f"mode {mode!r}: 'min' or 'max'")
        self.metric, self.mode = metric, mode

    def set_search_properties(self, metric, mode):
        """What TuneConfig says, where the scheduler was not told itself."""
        self.metric, self.mode = self.metric or metric, self.mode or mode

    def _value(self, metrics):
        """The metric so that more is better (NaN is worst), and the time; an error that names what is missing."""
        for name in (self.metric, self.time_attr):
            if name not in metrics:
                raise ValueError(f'{type(self).__name__} needs the metric {name!r}, and the trial reported {sorted(metrics)}')
        value = metrics[self.metric]
        if not isinstance(value, (int, float)):
            raise ValueError(f'{type(self).__name__} compares the metric {self.metric!r}, which is {value!r:.60}: a number is needed')
        value = value if self.mode == 'max' else -value
        return (-math.inf if math.isnan(value) else value), metrics[self.time_attr]

    def needs_metric(self):
        return True

    def on_trial_result(self, trial_id, metrics):
        return CONTINUE

    def on_trial_complete(self, trial_id, metrics):
        """It ended by itself, was stopped or failed (metrics None)."""


class FIFOScheduler(TrialScheduler):
    """No trial is stopped early."""

    def needs_metric(self):
        return False


class MedianStoppingRule(TrialScheduler):
    """Stops a trial whose best result so far is worse than the median, over the other trials that came as far, of the mean of
    their results up to that time.

    grace_period: no trial is judged before it, nor are results from before it counted. min_samples_required: so many other
    trials must have come as far. Trials are stopped and never paused, so min_time_slice is accepted and has nothing to do.
    """

    def __init__(self, time_attr='time_total_s', metric=None, mode=None, grace_period=60.0, min_samples_required=3,
                 min_time_slice=0, hard_stop=True):
        super().__init__(metric, mode)
        if not hard_stop:
            raise ValueError('hard_stop=False pauses trials, and trials cannot be paused here: leave it out')
        self.time_attr, self.grace_period, self.min_samples_required = time_attr, grace_period, min_samples_required
        self._results = {}

    def on_trial_result(self, trial_id, metrics):
        value, time = self._value(metrics)
        mine = self._results.setdefault(trial_id, [])
        mine.append((time, value))
        if time < self.grace_period:
            return CONTINUE
        means = []
        for other, results in self._results.items():
            counted = [v for t, v in results if self.grace_period <= t <= time]
            if other != trial_id and results[-1][0] >= time and counted:
                means.append(sum(counted) / len(counted))
        means = [m for m in means if math.isfinite(m)]
        if len(means) < max(1, self.min_samples_required):
            return CONTINUE
        return STOP if max(v for _, v in mine) < quantile(means, 0.5) else CONTINUE


class AsyncHyperBandScheduler(TrialScheduler):
    """ASHA: at grace_period * reduction_factor^k of time_attr (a rung) a trial goes on when its result is among the best
    1 / reduction_factor of those that have been at that rung, itself left out. At max_t every trial ends.

    Nothing is waited for: the first trials at a rung pass it. brackets: so many ladders, each beginning a factor later; trials
    are dealt to them, more to those that stop earlier.
    """

    def __init__(self, time_attr='training_iteration', metric=None, mode=None, max_t=100, grace_period=1, reduction_factor=4,
                 brackets=1, stop_last_trials=True, seed=0):
        super().__init__(metric, mode)
        if not 1 <= grace_period <= max_t:
            raise ValueError(f'grace_period {grace_period}: from 1 to max_t, which is {max_t}')
        if reduction_factor <= 1:
            raise ValueError(f'reduction_factor {reduction_factor}: more than 1')
        if brackets < 1:
            raise ValueError(f'brackets {brackets}: at least one')
        self.time_attr, self.max_t, self.reduction_factor = time_attr, max_t, reduction_factor
        self.stop_last_trials = stop_last_trials
        self._ladders = [_ladder(grace_period, max_t, reduction_factor, skipped) for skipped in range(brackets)]
        self._of_trial, self._rng = {}, random.Random(seed)

    def _rungs(self, trial_id):
        if trial_id not in self._of_trial:
            weights = [len(ladder) or 1 for ladder in self._ladders]
            self._of_trial[trial_id] = self._rng.choices(range(len(weights)), weights)[0]
        return self._ladders[self._of_trial[trial_id]]

    def on_trial_result(self, trial_id, metrics):
        value, time = self._value(metrics)
        if time >= self.max_t and self.stop_last_trials:
            return STOP
        return self._at_rungs(trial_id, value, time)

    def _at_rungs(self, trial_id, value, time):
        for milestone, recorded in self._rungs(trial_id):  # the highest first: a report may pass several
            if time < milestone or trial_id in recorded:
                continue
            finite = [v for v in recorded.values() if math.isfinite(v)]
            cutoff = quantile(finite, 1 - 1 / self.reduction_factor) if finite else None
            recorded[trial_id] = value
            return STOP if cutoff is not None and value < cutoff else CONTINUE
        return CONTINUE

    def on_trial_complete(self, trial_id, metrics):
        if metrics and self.metric in metrics and self.time_attr in metrics:
            self._at_rungs(trial_id, *self._value(metrics))


ASHAScheduler = AsyncHyperBandScheduler


def _ladder(grace_period, max_t, factor, skipped):
    """[(milestone, {trial: value})], the highest first."""
    milestones, at = [], grace_period * factor ** skipped
    while at <= max_t:
        milestones.append(at)
        at *= factor
    return [(m, {}) for m in reversed(milestones)]


def quantile(values, q):
    """Between the nearest ranks, linearly, as numpy.percentile does."""
    ordered = sorted(values)
    at = q * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)
