# SPDX-License-Identifier: Apache-2.0
"""DataParallelTrainer: a function run in worker processes, each fed with its part of the datasets."""

import dataclasses
import inspect
import os

from .. import _function
from ..dataset import Dataset
from ..preprocessors import Preprocessor
from .checkpoint import Checkpoint
from .config import WILDCARD, DatasetConfig, RunConfig, ScalingConfig
from .run import Run


class DataParallelTrainer:
    """Runs train_loop_per_worker(config) in each worker; the loop gets its data with get_dataset_shard.

    datasets: a dict of name to Dataset, or to a function without arguments that makes one. "train" is what the preprocessor
    is fitted on, and is split between the workers; the others go whole to each; dataset_config says otherwise. The
    preprocessor is applied to all. resume_from_checkpoint: a Checkpoint; one of an earlier run (a trainer of the same
    datasets) also says at which row of the data the workers go on.
    """
    _dataset_config = {'train': DatasetConfig(fit=True, split=True), WILDCARD: DatasetConfig(split=False)}
    _ends_together = True  # a worker that dies ends the run: the others would wait for it
    _steps_together = False  # a step that one worker has and another has not would be waited for without end
    _has_folder = True
    _makes_checkpoints = False  # itself, at epochs
    _raw_datasets = None  # the datasets before they were preprocessed
    html = None  # a path: where the page of the run is written too, besides its folder
    touch = False  # of the page: its loop reads every byte
    _counts_reports = False  # workers put training_iteration into their reports: of trials

    def __new__(cls, *args, **kwargs):
        self = super().__new__(cls)
        self._given = (args, kwargs)  # to construct it again with other values: a trial of a Tuner
        return self

    def __init__(self, train_loop_per_worker, *, train_loop_config=None, scaling_config=None, run_config=None, datasets=None,
                 dataset_config=None, preprocessor=None, resume_from_checkpoint=None, worker_idle_s=0.0):
        if not callable(train_loop_per_worker) or len(_required(train_loop_per_worker)) > 1:
            raise ValueError('train_loop_per_worker is a function of one argument, the configuration, or of none')
        self.train_loop_per_worker, self.train_loop_config = train_loop_per_worker, train_loop_config
        if run_config is not None and not isinstance(run_config, RunConfig):
            raise TypeError(f'run_config: a RunConfig, not {run_config!r:.100}')
        if datasets is not None and not isinstance(datasets, dict):
            raise TypeError(f'datasets: a dict of name to Dataset, as {{"train": ds}}, not {datasets!r:.100}')
        self.scaling_config, self.run_config = ScalingConfig.of(scaling_config), run_config or RunConfig()
        self.datasets, self.preprocessor, self.worker_idle_s = dict(datasets or {}), preprocessor, worker_idle_s
        self._wants_folder = self._has_folder or run_config is not None
        self._configs = DatasetConfig.merge(self._dataset_config, dataset_config)
        self.resume_from_checkpoint = resume_from_checkpoint
        if resume_from_checkpoint is not None and not isinstance(resume_from_checkpoint, Checkpoint):
            if not isinstance(resume_from_checkpoint, (str, os.PathLike)):
                raise TypeError(f'resume_from_checkpoint: a Checkpoint or its folder, not {resume_from_checkpoint!r:.100}')
            self.resume_from_checkpoint = Checkpoint.from_directory(resume_from_checkpoint)
        kept = self.run_config.checkpoint_config
        if not self._makes_checkpoints and (kept.checkpoint_frequency or kept.checkpoint_at_end):
            raise ValueError(f'{type(self).__name__} keeps the checkpoints that the loop reports: checkpoint_frequency and '
                             'checkpoint_at_end are for trainers that make them themselves')
        self.dataset_configs()
        for name, dataset in self.datasets.items():
            if callable(dataset) and _required(dataset):
                raise ValueError(f'dataset {name!r}: a function that makes one is called without arguments, and this one wants '
                                 + ', '.join(p.name for p in _required(dataset)))
            if not callable(dataset):
                check_dataset(name, dataset)
        if preprocessor is not None and not isinstance(preprocessor, Preprocessor):
            raise TypeError(f'preprocessor: one of headrace.preprocessors, not {preprocessor!r:.100}; '
                            'a function of batches becomes one by BatchMapper')

    def __repr__(self):
        return (f'{type(self).__name__}({_function.name_of(self.train_loop_per_worker)}, num_workers='
                f'{self.scaling_config.num_workers}, datasets={list(self.datasets)})')

    def dataset_configs(self):
        """A DatasetConfig for each dataset."""
        found = DatasetConfig.validated(self._configs, self.datasets)
        if not self._steps_together or self.scaling_config.num_workers == 1:
            return found
        return {name: dataclasses.replace(c, tail='pad') if c.split and c.tail is None else c for name, c in found.items()}

    def preprocess_datasets(self):
        """Makes, fits and transforms; streamed, so that nothing is read but what fitting needs."""
        configs = self.dataset_configs()
        self._raw_datasets = self.datasets if self._raw_datasets is None else self._raw_datasets  # a second fit begins anew
        made = {name: check_dataset(name, d(), ', which its function returned,') if callable(d) else d
                for name, d in self._raw_datasets.items()}
        if self.preprocessor is not None:
            states = self.preprocessor.FitStatus
            for name, config in configs.items():
                if config.fit and self.preprocessor.fit_status() is not states.FITTED:
                    self.preprocessor.fit(made[name])
            if self.preprocessor.fit_status() in (states.NOT_FITTED, states.PARTIALLY_FITTED):
                raise ValueError(f'{self.preprocessor} has to be fitted, on a dataset "train" or one whose DatasetConfig says '
                                 f'fit=True; there are {sorted(made)}')
            made = {name: d if configs[name].transform is False else self.preprocessor.transform(d)
                    for name, d in made.items()}
        self.datasets = {name: d.materialize() if configs[name].use_stream_api is False else d for name, d in made.items()}

    def training_loop(self):
        """(loop, configuration) as the workers get them."""
        return self.train_loop_per_worker, self.train_loop_config

    def begin(self, *, name=None, folder=None, on_report=None):
        """A Run, not started yet; the datasets are preprocessed."""
        self.preprocess_datasets()
        loop, config = self.training_loop()
        if folder is None and self._wants_folder:
            folder = self.run_config.folder(type(self).__name__)
        return Run(self, loop, config, name=name, folder=folder, on_report=on_report)

    def fit(self):
        """Runs to the end and gives the Result. A failure of the loop comes back as the exception it was."""
        return self._fitted(self.begin())

    def _fitted(self, run):
        try:
            run.wait()
        except BaseException:  # Ctrl-C, or an exception of a callback
            if run.handle is not None:
                run.stop()
                run.finish()
            raise
        result = run.finish()
        if result.error is not None:
            raise result.error
        self._ended(result)
        return result

    def _ended(self, result):
        """It came to its end without an error."""

    def _page_title(self, run):
        return run.name

    def _on_line(self, rank, line):
        print(line, flush=True)


class Trainer(DataParallelTrainer):
    """The same for loops that do not wait for each other: when a worker dies the others go on. Without a run_config nothing
    is kept on disk."""
    _ends_together = False
    _has_folder = False


def check_dataset(name, dataset, whence=''):
    if not isinstance(dataset, Dataset):
        raise TypeError(f'dataset {name!r}{whence} is of type {type(dataset).__name__}: a headrace Dataset is wanted '
                        '(read_parquet, from_pandas, from_numpy, from_arrow, ... make one), or a function that returns one')
    return dataset


def _required(function):
    try:
        known = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p for p in known if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
