# SPDX-License-Identifier: Apache-2.0
"""Functions as trainables: a function of the setting that reports, run in one worker."""

from ..dataset import Dataset
from ..train.trainer import DataParallelTrainer
from . import space as _space


class _Loop:
    """What runs in the worker: the function, whose returned dict is a last report."""

    def __init__(self, function, parameters):
        self.function, self.parameters = function, parameters

    def __call__(self, config):
        from ..train.session import report
        metrics = self.function(config, **self.parameters)
        if isinstance(metrics, dict):
            report(metrics)


class FunctionTrainer(DataParallelTrainer):
    """The trainer of a function. "datasets" in its setting are shards in it: get_dataset_shard(name)."""

    def __init__(self, function, *, config=None, parameters=None, **options):
        settings = dict(config or {})
        for path, value in _space.leaves({k: v for k, v in settings.items() if k != 'datasets'}):
            if isinstance(value, Dataset):
                raise TypeError(f"{'/'.join(map(str, path))} is a dataset, which does not travel to a worker: put it under 'datasets', "
                                'and get_dataset_shard(name) has it in the function')
        super().__init__(_Loop(function, parameters or {}), train_loop_config=settings, datasets=settings.pop('datasets', None),
                         **options)
        self.__name__ = getattr(function, '__name__', type(function).__name__)

    @property
    def name(self):
        return self.__name__


class _With:
    """A function with what with_parameters and with_resources say of it."""

    def __init__(self, function, parameters=None, resources=None):
        inner = function if isinstance(function, _With) else None
        self.function = inner.function if inner else function
        self.parameters = {**(inner.parameters if inner else {}), **(parameters or {})}
        self.resources = resources or (inner.resources if inner else None)
        self.__name__ = getattr(self.function, '__name__', type(self.function).__name__)

    def __call__(self, config):
        return self.function(config, **self.parameters)


def with_parameters(function, **parameters):
    """The function with more arguments, the same in all trials; they are carried to the worker once a trial."""
    return _With(function, parameters=parameters)


def with_resources(function, resources):
    """The function with the slots that a trial of it takes: {"cpu": 2, "gpu": 0}."""
    unknown = set(resources) - {'cpu', 'gpu', 'CPU', 'GPU'}
    if unknown:
        raise ValueError(f'with_resources knows cpu and gpu, not {sorted(unknown)}')
    return _With(function, resources={k.upper(): v for k, v in resources.items()})


def trainer_arguments(function):
    """The keywords of FunctionTrainer for a function, but for its config."""
    if not isinstance(function, _With):
        return {'function': function}
    options = {'function': function.function, 'parameters': function.parameters}
    if function.resources:
        from ..train.config import ScalingConfig
        options['scaling_config'] = ScalingConfig(num_workers=1, use_gpu=bool(function.resources.get('GPU')),
                                                  resources_per_worker=function.resources)
    return options
