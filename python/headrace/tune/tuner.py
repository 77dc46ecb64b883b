# SPDX-License-Identifier: Apache-2.0
"""Tuner: a trainable, what is searched, how, and where results go."""

import os
import time

from ..train.config import RunConfig
from . import state as _state
from .config import TuneConfig
from .experiment import Experiment, restored_trials, searcher_of
from .maker import Maker
from .results import ResultGrid
from .schedulers import FIFOScheduler
from .search import BasicVariantGenerator
from .sharing import Sharing
from .table import Table


class Tuner:
    """Tuner(trainable, param_space=..., tune_config=..., run_config=...).fit() gives a ResultGrid.

    trainable: a trainer, whose constructor's arguments the settings of param_space are merged over (datasets and preprocessors
    too); or a function of the setting that reports, run in one worker. A dataset is read once for all trials, a function that
    makes one is called in each. run_config: where results go; of the trainer when left out.
    """

    def __init__(self, trainable, *, param_space=None, tune_config=None, run_config=None):
        self._space, self._config = {} if param_space is None else param_space, tune_config or TuneConfig()
        self._maker = Maker(trainable, self._space)
        self._run_config = run_config or self._maker.run_config or RunConfig()
        self._restored = None

    # --- fit ---

    def fit(self):
        """Runs all trials. Those that failed do not end the others: their errors are in the ResultGrid."""
        scheduler = self._config.scheduler or FIFOScheduler()
        scheduler.set_search_properties(self._config.metric, self._config.mode)
        if scheduler.needs_metric() and not (scheduler.metric and scheduler.mode):
            raise ValueError(f'{type(scheduler).__name__} needs to know what is good: TuneConfig(metric=..., mode="min" or "max")')
        names = _state.Names(self._maker.datasets, self._space)
        if self._restored is not None:
            return self._go_on(names, scheduler)
        searcher = searcher_of(self._config, self._space)
        folder = _state.Folder(_free_folder(self._run_config.folder(self._maker.name)))
        try:
            self._write_tuner(folder, names)
            return self._run(folder, names, searcher, scheduler, [], {}, time.time())
        finally:
            folder.close()

    def _go_on(self, names, scheduler):
        path, errored = self._restored
        folder = _state.Folder(path)
        try:
            found = _state.restored_path(path)[1]
            trials = restored_trials(folder, names, found['trials'], **errored)
            searcher, scheduler = names.loads(_state.read_bytes(folder.at(_state.SEARCH)))
            searcher.restored(len(trials))
            over = sum(t.is_over for t in trials)
            if self._run_config.verbose:
                print(f'headrace: {path}: {over} trials are over, {len(trials) - over} go on', flush=True)
            return self._run(folder, names, searcher, scheduler, trials, found['source_reads'], found['created'])
        finally:
            folder.close()

    def _run(self, folder, names, searcher, scheduler, trials, earlier, created):
        table = Table(trials, metric=self._config.metric, verbose=self._run_config.verbose)
        sharing = Sharing(names, table.say, earlier)
        experiment = Experiment(
            maker=self._maker, param_space=self._space, config=self._config, run_config=self._run_config, folder=folder,
            names=names, sharing=sharing, searcher=searcher, scheduler=scheduler, table=table, trials=trials, created=created)
        experiment.run()
        return _grid(experiment.trials, self._config, experiment.source_reads(), folder.path, table)

    def _write_tuner(self, folder, names):
        """What restore needs. What cannot be pickled is left out, and must be given to restore."""
        parts = {}
        for name, value in (('trainable', self._maker.trainable), ('param_space', self._space), ('tune_config', self._config),
                            ('run_config', self._run_config)):
            try:
                parts[name] = names.dumps(value)
            except Exception:
                parts[name] = None
        import pickle
        _state.write_atomically(folder.at(_state.TUNER), pickle.dumps(parts))

    # --- restore ---

    @classmethod
    def restore(cls, path, trainable=None, *, param_space=None, tune_config=None, run_config=None, resume_errored=False,
                restart_errored=False):
        """The experiment of a folder again: fit() runs what had not ended, from the last checkpoints.

        trainable, param_space, ...: as the Tuner was given them; left out they are taken from the folder, which has no datasets.
        resume_errored, restart_errored: trials that failed go on from their checkpoint, or begin anew.
        """
        import pickle
        path = _state.restored_path(path)[0]
        parts = pickle.loads(_state.read_bytes(os.path.join(path, _state.TUNER)))
        given = {'trainable': trainable, 'param_space': param_space, 'tune_config': tune_config, 'run_config': run_config}
        names = _state.Names(getattr(trainable, 'datasets', None), param_space)
        for name, data in parts.items():
            if given.get(name) is None:
                if data is None:
                    raise ValueError(f'{path}: the {name} could not be kept: Tuner.restore(path, {name}=...)')
                given[name] = names.loads(data)
        tuner = cls(**given)
        tuner._restored = path, {'resume_errored': resume_errored, 'restart_errored': restart_errored}
        return tuner

    def get_results(self):
        """The ResultGrid of a restored experiment as it stands, without running anything."""
        if self._restored is None:
            raise RuntimeError('get_results is for what Tuner.restore gives: fit() returns the results of a new experiment')
        path, errored = self._restored
        folder = _state.Folder(path)
        try:
            found = _state.restored_path(path)[1]
            trials = restored_trials(folder, _state.Names(self._maker.datasets, self._space), found['trials'], **errored)
        finally:
            folder.close()
        return _grid(trials, self._config, found['source_reads'], path)


def _grid(trials, config, source_reads, path, table=None):
    results = []
    for trial in trials:
        if trial.result is None:
            continue
        trial.result.metrics = {**trial.metrics, 'config': trial.setting}
        trial.result.config = trial.setting
        results.append(trial.result)
    if table is not None:
        for name, reads in source_reads.items():
            if reads['reads'] is not None:
                table.say(f"source {name}: read {reads['reads']} time{'s' if reads['reads'] != 1 else ''} "
                          f"({reads['bytes_read'] / 2**20:,.1f} MiB) for {reads['trials']} trials")
    return ResultGrid(results, metric=config.metric, mode=config.mode, source_reads=source_reads, experiment_path=path,
                      trials=[t for t in trials if t.result is not None])


def _free_folder(path):
    """An experiment is never written over: a name that is taken gets a number."""
    made, number = path, 1
    while os.path.exists(os.path.join(made, _state.STATE)):
        number += 1
        made = f'{path}_{number}'
    return made
