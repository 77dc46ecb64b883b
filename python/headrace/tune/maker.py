# SPDX-License-Identifier: Apache-2.0
"""A trainer for each trial: the trainable's constructor arguments with the trial's setting merged over them."""

import copy
import dataclasses
import inspect

from ..dataset import Dataset
from ..train.trainer import DataParallelTrainer
from . import function as _function
from . import space as _space


class Maker:
    """trainable: a trainer, or a function of the setting."""

    def __init__(self, trainable, param_space):
        self.is_function = not isinstance(trainable, DataParallelTrainer)
        if self.is_function and (not callable(trainable) or isinstance(trainable, type)):
            raise TypeError(f'trainable {trainable!r:.100}: a trainer (an object, not its class), or a function of one argument, '
                            'the setting')
        self.trainable = trainable
        if self.is_function:
            self._known, self._given = None, _function.trainer_arguments(trainable)
            self.name = getattr(trainable, '__name__', 'function')
            self.run_config = self.preprocessor = None
            self.datasets = {}
        else:
            self._known, self._given = arguments_of(trainable)
            self.name = getattr(trainable, '_name', type(trainable).__name__)
            self.run_config = trainable.run_config
            self.datasets = trainable.datasets
        self._check(param_space)

    def _check(self, space):
        if not isinstance(space, dict):
            raise TypeError(f'param_space {space!r:.100}: a dict of parameters')
        unknown = [] if self._known is None else [k for k in space if k not in self._known]
        if unknown:
            raise ValueError(f'param_space has {unknown[0]!r}, which is no argument of {self.name}: {sorted(self._known)}; what '
                             "the training loop gets is 'train_loop_config'")

        for path, value in _space.leaves(space):
            values = value[_space.GRID] if _space.is_grid(value) else getattr(value, 'parameters', {}).get('categories', [value])
            for item in values:
                if isinstance(item, (list, tuple, set)) and any(isinstance(i, Dataset) for i in item):
                    raise TypeError(f"param_space has a dataset within a {type(item).__name__}, at {'/'.join(map(str, path))}: "
                                    'datasets stand by themselves, as the values of "datasets"')

    def trainer(self, setting):
        if self.is_function:
            return _function.FunctionTrainer(config=setting, **self._given)
        given = {**self._given, **{k: over(self._given.get(k), v) for k, v in setting.items()}}
        return type(self.trainable)(**given)


def arguments_of(trainer):
    """(names of the constructor's arguments or None when it takes any, what the trainer was given by name)."""
    args, kwargs = trainer._given
    known, names = set(), []
    for cls in type(trainer).__mro__:
        if '__init__' not in vars(cls) or cls is object:
            continue
        parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
        if not names:
            names = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        known |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        if all(p.kind is not p.VAR_KEYWORD for p in parameters):
            break  # it takes no more than these
    return known, {**dict(zip(names, args)), **kwargs}


def over(given, value):
    """A value of a setting over what the trainer was given: dicts are merged, fields of configurations replaced."""
    if not isinstance(value, dict):
        return value
    if isinstance(given, dict):
        return _space.merged(given, value)
    if dataclasses.is_dataclass(given) and not isinstance(given, type):
        return dataclasses.replace(given, **value)
    return value


def of_trial(trainer, trial, run_config, *, callback, on_line, resume_from):
    """The trainer as a part of an experiment."""
    from ..train.checkpoint import Checkpoint
    trainer.run_config = copy.copy(run_config)
    trainer.run_config.name = trial.name
    trainer.run_config.callbacks = [*run_config.callbacks, callback]
    trainer._counts_reports, trainer._on_line = True, on_line
    if resume_from is not None:
        trainer.resume_from_checkpoint = Checkpoint(resume_from)
    return trainer
