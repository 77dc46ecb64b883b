# SPDX-License-Identifier: Apache-2.0
"""ResultGrid: the results of an experiment."""

import math

from . import space as _space


class TuneError(RuntimeError):
    """The experiment has no answer to what it was asked, or could not go on."""


class ResultGrid:
    """A Result for each trial, in the order they were made. errors: the exceptions of those that failed. source_reads: for each
    dataset how many times its source was read, rows and bytes (sharing.SourceReads). experiment_path: for Tuner.restore."""

    def __init__(self, results, *, metric=None, mode=None, source_reads=None, experiment_path=None, trials=()):
        self._results, self._metric, self._mode, self._trials = list(results), metric, mode, list(trials)
        self.source_reads, self.experiment_path = dict(source_reads or {}), experiment_path

    def __len__(self):
        return len(self._results)

    def __getitem__(self, index):
        return self._results[index]

    def __iter__(self):
        return iter(self._results)

    @property
    def errors(self):
        return [r.error for r in self._results if r.error is not None]

    @property
    def num_errors(self):
        return len(self.errors)

    @property
    def num_terminated(self):
        return sum(t.status == 'TERMINATED' for t in self._trials)

    def get_best_result(self, metric=None, mode=None, scope='last', filter_nan_and_inf=True):
        """The Result whose metric is best: its last one, or (scope 'all') its best one. metric and mode: those of TuneConfig when
        left out. Trials that failed are not looked at, nor (filter_nan_and_inf) values that are no number."""
        metric, mode = metric or self._metric, mode or self._mode
        if scope not in ('last', 'all'):
            raise ValueError(f"scope {scope!r}: 'last' or 'all'")
        if len(self._results) == 1 and not metric:
            return self._results[0]
        if not metric or mode not in ('min', 'max'):
            raise ValueError('get_best_result needs a metric and a mode, "min" or "max": here or in TuneConfig')
        best = None
        for result in self._results:
            value = None if result.error is not None else _best_of(result, metric, mode, scope, filter_nan_and_inf)
            if value is not None and (best is None or (value < best[0] if mode == 'min' else value > best[0])):
                best = value, result
        if best is None:
            raise TuneError(f'no trial that ended without error reported the metric {metric!r}'
                            + (f'; the first error: {self.errors[0]!r}' if self.errors else ''))
        return best[1]

    def get_dataframe(self, filter_metric=None, filter_mode=None):
        """A row for each trial: its last metrics (with filter_metric those of its best report) and its setting as config/..."""
        import pandas as pd
        rows = []
        for result in self._results:
            metrics = result.metrics or {}
            if filter_metric is not None:
                found = [m for m in result.metrics_history if filter_metric in m]
                if found:
                    choose = min if (filter_mode or self._mode) == 'min' else max
                    metrics = {**metrics, **choose(found, key=lambda m: m[filter_metric])}
            rows.append({**{k: v for k, v in metrics.items() if k != 'config'},
                         **{f'config/{k}': v for k, v in _space.flat(result.config or {}).items()}, 'logdir': result.path,
                         'error': None if result.error is None else f'{type(result.error).__name__}: {result.error}'})
        return pd.DataFrame(rows)

    def __repr__(self):
        return f'<ResultGrid of {len(self)} results, {self.num_errors} errors>'


def _best_of(result, metric, mode, scope, finite):
    metrics = [result.metrics or {}] if scope == 'last' else [result.metrics or {}, *result.metrics_history]
    values = [m[metric] for m in metrics if m.get(metric) is not None]
    wrong = [v for v in values if not isinstance(v, (int, float))]
    if wrong:
        raise TuneError(f'the metric {metric!r} is {wrong[0]!r:.60} in {result.path}: a number is needed to say which is best')
    if finite:
        values = [v for v in values if math.isfinite(v)]
    return (min if mode == 'min' else max)(values) if values else None
