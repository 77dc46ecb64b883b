# SPDX-License-Identifier: Apache-2.0
"""TuneConfig: how an experiment searches."""

import dataclasses

from .._numbers import whole


@dataclasses.dataclass
class TuneConfig:
    """metric and mode ('min', 'max'): what is good. num_samples: so many times each combination of the grids; with a search_alg
    the number of trials. max_concurrent_trials: at most so many at once, besides what the CPU slots allow. time_budget_s: no
    trial begins after it, and those that run are stopped. scheduler: which trials are stopped early; search_alg: which
    settings are tried. reuse_actors is accepted: workers are processes of one trial.
    """
    metric: str = None
    mode: str = None
    search_alg: object = None
    scheduler: object = None
    num_samples: int = 1
    max_concurrent_trials: int = None
    time_budget_s: float = None
    reuse_actors: bool = None

    def __post_init__(self):
        if self.mode not in (None, 'min', 'max'):
            raise ValueError(f"mode {self.mode!r}: 'min' or 'max'")
        whole('num_samples', self.num_samples)
        if self.num_samples == 0 or self.num_samples < -1:
            raise ValueError(f'num_samples {self.num_samples}: at least one; -1: until time_budget_s is over')
        if self.num_samples == -1 and self.time_budget_s is None:
            raise ValueError('num_samples -1 goes on until time_budget_s is over: give one')
        if self.max_concurrent_trials is not None and whole('max_concurrent_trials', self.max_concurrent_trials) < 1:
            raise ValueError(f'max_concurrent_trials {self.max_concurrent_trials}: at least one, or None')
        if hasattr(self.time_budget_s, 'total_seconds'):  # a timedelta
            self.time_budget_s = self.time_budget_s.total_seconds()
