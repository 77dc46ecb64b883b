# SPDX-License-Identifier: Apache-2.0
"""Experiments of many trials: one trainer, or function, with many settings.

    from headrace import tune
    tuner = tune.Tuner(trainer, param_space={"train_loop_config": {"lr": tune.loguniform(1e-4, 1e-1)}},
                       tune_config=tune.TuneConfig(metric="loss", mode="min", num_samples=8))
    best = tuner.fit().get_best_result()

A dataset of the trainer, or in param_space, is read once for all trials; a function that makes one is called in each.
"""

from ..train.session import get_checkpoint, report
from .config import TuneConfig
from .function import with_parameters, with_resources
from .results import ResultGrid, TuneError
from .schedulers import ASHAScheduler, AsyncHyperBandScheduler, FIFOScheduler, MedianStoppingRule, TrialScheduler
from .search import BasicVariantGenerator, ConcurrencyLimiter, OptunaSearch, Searcher
from .space import choice, grid_search, loguniform, quniform, randint, randn, sample_from, uniform
from .tuner import Tuner

__all__ = ['ASHAScheduler', 'AsyncHyperBandScheduler', 'BasicVariantGenerator', 'ConcurrencyLimiter', 'FIFOScheduler',
           'MedianStoppingRule', 'OptunaSearch', 'ResultGrid', 'Searcher', 'TrialScheduler', 'TuneConfig', 'TuneError', 'Tuner',
           'choice', 'get_checkpoint', 'grid_search', 'loguniform', 'quniform', 'randint', 'randn', 'report', 'sample_from',
           'uniform', 'with_parameters', 'with_resources']
