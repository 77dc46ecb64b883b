# SPDX-License-Identifier: Apache-2.0
"""An experiment under way: trials are started as slots become free, watched, judged and written down, all in the thread that
called fit. What they do is done by their workers and the library; this loop only waits for them. A trial's data is made in a
thread beside it, for one trial at a time, so that trials begin in their order.
"""

import contextlib
import os
import pickle
import time

from .. import _core, _worker
from .._runtime import runtime
from ..train.checkpoint import Checkpoint
from ..train.result import Result
from . import maker as _maker
from . import state as _state
from .beside import Beside
from .results import TuneError
from .schedulers import STOP
from .search import FINISHED, BasicVariantGenerator
from .trial import ERROR, PENDING, RUNNING, TERMINATED, Trial

LOOK_S = 0.2  # the longest wait for a trial before the clock and the table are looked at
FOREIGN_S = 0.05  # between two looks for slots that trainers of others hold
SOON_S = 0.01  # the same while the next trial's data is made


class _NeverFits(Exception):
    """No trial of the experiment could ever have its slots; the cause says why."""


class _Committed:
    """Callback of a trial's run: its checkpoints are part of the experiment's state."""

    def __init__(self, experiment, trial):
        self._experiment, self._trial = experiment, trial

    def on_checkpoint(self, checkpoint, metrics):
        self._trial.checkpoints[os.path.basename(checkpoint.path)] = self._trial.reports
        self._experiment.save()


class Experiment:
    """What it works with is made by the Tuner; run gives the trials, all of them over unless something ended it early."""

    def __init__(self, *, maker, param_space, config, run_config, folder, names, sharing, searcher, scheduler, table, trials,
                 created):
        self.maker, self.param_space, self.config, self.run_config = maker, param_space, config, run_config
        self.folder, self.names, self.sharing, self.table = folder, names, sharing, table
        self.searcher, self.scheduler, self.trials, self.created = searcher, scheduler, trials, created
        self._beside = Beside()
        self._waiting = [t for t in trials if t.status == PENDING]
        self._exhausted = self._over = self._told_slots = False
        self._seen = set()  # names of metrics
        self._deadline = None if config.time_budget_s is None else time.monotonic() + config.time_budget_s

    # --- the loop ---

    def run(self):
        self.save()
        try:
            while True:
                self._start_more()
                running = [t for t in self.trials if t.status == RUNNING]
                if not running and (self._over or (self._exhausted and not self._waiting)):
                    break
                if running:
                    soon = SOON_S if self._beside.owner is not None else LOOK_S
                    ended = _core.trainers_wait([t.run.handle for t in running], soon)
                    if ended is not None:
                        self._finish(running[ended])
                elif self._beside.owner is not None:
                    self._beside.wait(FOREIGN_S)
                else:
                    time.sleep(FOREIGN_S)
                self._look_at_clock()
                self.table.tick()
        except BaseException:
            self._interrupt()
            raise
        finally:
            self._stop_beside()
            self.sharing.close()
        self.save()
        self.table.final()
        return self.trials

    def _start_more(self):
        limit = min(self.config.max_concurrent_trials or 1 << 30, getattr(self.searcher, 'max_concurrent', 0) or 1 << 30)
        while not self._over and sum(t.status == RUNNING for t in self.trials) < limit:
            trial = self._waiting[0] if self._waiting else self._new_trial()
            if trial is None or not self._start(trial):
                return

    def _new_trial(self):
        """The next setting of the searcher as a trial, None when there is none (now)."""
        number, samples = len(self.trials), self.config.num_samples
        total = self.searcher.total()
        if self._exhausted or (total is None and 0 <= samples <= number):
            self._exhausted = True
            return None
        setting = self.searcher.suggest(f'{number:05d}')
        if not isinstance(setting, dict):
            self._exhausted = setting == FINISHED
            if setting is None and all(t.is_over for t in self.trials):
                raise TuneError(f'{type(self.searcher).__name__} waits, and no trial runs that it could wait for')
            return None
        name = f'{self.maker.name}_{number:05d}'
        trial = Trial(number, name, self.folder.at(name), setting)
        self.folder.write_trial(trial, self.names)
        self.trials.append(trial)
        self._waiting.append(trial)
        self.save()
        return trial

    # --- a trial's life ---

    def _start(self, trial):
        """Whether it left the queue: it runs, or it failed. False: there is no slot for it now."""
        try:
            if not self._is_ready(trial):
                return False
            run = trial.run
            if not self._has_slots(run):
                self.table.waits(f'{trial.name} {run.waits_for}')
                return False
        except _NeverFits as e:
            raise e.__cause__ from None
        except Exception as e:
            self._waiting.remove(trial)
            trial.result = Result({}, [], [], 0.0, 0, {}, error=e, path=trial.folder)
            self._over_with(trial, ERROR, e)
            return True
        self._waiting.remove(trial)
        trial.began(run)
        if trial.kept_history:
            run.history[:0] = trial.kept_history
        self.save()
        return True

    def _has_slots(self, run):
        try:
            return run.start()
        except _core.LimitError as e:
            if 'scaling_config' in self.param_space:
                raise  # it is this trial's alone
            raise _NeverFits from e

    def _is_ready(self, trial):
        """Whether its run is made, which is kept until there is a slot. What it is made of may have failed: then that is raised."""
        if trial.run is not None:
            return True
        if self._beside.owner is None:
            trainer = self.maker.trainer(trial.setting)
            if not self._fits(trainer, trial):
                return False
            self.table.erase()
            self._set_up(trainer, trial)
            self._beside.begin(trial, lambda: self._begun(trainer, trial))
        if not self._beside.wait(SOON_S):
            return False
        trial.run = self._beside.result()
        self.table.tell()
        return True

    def _set_up(self, trainer, trial):
        last = trial.last_checkpoint()
        trial.kept_history = []
        if last is None:
            trial.reports, trial.metrics, trial.checkpoints = 0, {}, {}
        else:
            self._cut_back(trial, last)
        _maker.of_trial(trainer, trial, self.run_config, callback=_Committed(self, trial), resume_from=last,
                        on_line=lambda rank, line: self.table.line(f'({trial.name}) {line}'))

    def _begun(self, trainer, trial):
        """Its run, with datasets and preprocessor as the experiment shares them. Beside the loop."""
        configs = trainer.dataset_configs()
        trainer.datasets = {name: self.sharing.dataset_of(trial, name, d, streamed=configs[name].use_stream_api is True)
                            for name, d in trainer.datasets.items()}
        fit_on = next((n for n, c in configs.items() if c.fit), None)
        trainer.preprocessor = self.sharing.preprocessor_of(trainer.preprocessor, fit_on, trainer.datasets,
                                                            [n for n, c in configs.items() if c.transform is not False])
        return trainer.begin(name=trial.name, folder=trial.folder,
                             on_report=lambda run, metrics: self._reported(trial, run, metrics))

    def _cut_back(self, trial, checkpoint):
        """To its last checkpoint: what it reported after that comes again."""
        metrics = _state.read_json(os.path.join(checkpoint, 'headrace.json')).get('metrics') or {}
        trial.reports = int(metrics.get('training_iteration', trial.checkpoints.get(os.path.basename(checkpoint), 0)))
        trial.kept_history = _state.cut_metrics(trial.folder, trial.reports)
        self.table.say(f'{trial.name} goes on from {os.path.basename(checkpoint)}, after {trial.reports} reports')

    def _fits(self, trainer, trial):
        """Looked at before the trial's data is made. What can never fit is for the library to say."""
        slots, config = runtime().slots(), trainer.scaling_config
        wants = config.slots(slots['cpus'])
        kinds = [(kind.upper(), wants[f'{kind}s'] + config.num_workers * wants[f'worker_{kind}s'], slots[f'{kind}s'],
                  slots[f'{kind}s_used']) for kind in ('cpu', 'gpu')]
        kinds.append(('ingest thread', config.ingest_threads, slots['ingest_threads'], slots['ingest_threads_reserved']))
        for kind, count, there, taken in kinds:
            if count > there - taken + 1e-9 and any(t.status == RUNNING for t in self.trials):
                if not self._told_slots:
                    self._told_slots = True
                    self.table.say(f'{trial.name} waits for {count:g} {kind}{"s" if count != 1 else ""}: trials hold '
                                   f'{taken:g} of {there:g}; so will those after it. Ingest itself needs none')
                return False
        return True

    def _reported(self, trial, run, metrics):
        counted, metric = trial.reported(metrics), self.scheduler.metric
        self.searcher.on_trial_result(trial.id, counted)
        if metric in self._seen and metric not in counted:
            return  # a report of something else
        self._seen.update(counted)
        if trial.stopped_by is None and self.scheduler.on_trial_result(trial.id, counted) == STOP:
            trial.stopped_by = type(self.scheduler).__name__
            run.stop()

    def _finish(self, trial):
        run = trial.run
        result = trial.result = run.finish()
        if run._stopped and trial.stopped_by is None:
            trial.stopped_by = 'stop'
        self._over_with(trial, ERROR if result.error is not None else TERMINATED, result.error)
        if result.error is None and not trial.stopped_by and self.run_config.verbose:
            run.trainer._ended(result)

    def _over_with(self, trial, status, error):
        trial.rest(status)
        trial.error = error
        if error is not None:
            text, details = _worker.describe(error)
            trial.error_text = text
            _state.write_atomically(os.path.join(trial.folder, 'error.pickle'), details or pickle.dumps((None, text, '')))
        self.sharing.trial_ended(trial)
        metrics = None if error is not None else trial.metrics
        self.scheduler.on_trial_complete(trial.id, metrics)
        self.searcher.on_trial_complete(trial.id, metrics, error is not None)
        self.save()
        self.table.ended(trial)
        if error is not None and self.run_config.failure_config.fail_fast:
            self._stop_all('fail_fast')

    # --- ends before the end ---

    def _look_at_clock(self):
        if self._deadline is not None and not self._over and time.monotonic() >= self._deadline:
            self._stop_all('time_budget')

    def _stop_all(self, why):
        self._over = True
        for trial in self.trials:
            if trial.status == RUNNING:
                trial.stopped_by = trial.stopped_by or why
                trial.run.stop()

    def _interrupt(self):
        """Ctrl-C, or an error of the experiment itself: trials go on from their checkpoints when it is restored."""
        for trial in self.trials:
            if trial.status == RUNNING:
                trial.run.stop()
                with contextlib.suppress(Exception):  # Ctrl-C within its finish, or that failed: there is nothing left to end
                    trial.run.finish()
                self.sharing.trial_ended(trial)
                trial.rest(PENDING)
        self._stop_beside()
        self.save()
        self.table.final()
        self.table.say(f'ended early; what there is was kept: Tuner.restore({self.folder.path!r}) goes on')

    def _stop_beside(self):
        trial = self._beside.owner
        self._beside.close()
        if trial is not None:
            self.sharing.trial_ended(trial)

    # --- state ---

    def source_reads(self):
        return self.sharing.figures(self.trials)

    def save(self):
        """The searcher first: one that knows of a trial which is not there yet does no harm, one that is missing would."""
        try:
            _state.write_atomically(self.folder.at(_state.SEARCH), self.names.dumps((self.searcher, self.scheduler)))
        except (TypeError, AttributeError, pickle.PicklingError) as e:
            raise ValueError(f'the search algorithm or scheduler cannot be kept: {e}') from e
        self.folder.write_json(_state.STATE, {
            'version': _state.VERSION, 'created': self.created, 'updated': time.time(), 'trainable': self.maker.name,
            'metric': self.config.metric, 'mode': self.config.mode, 'source_reads': self.source_reads(),
            'trials': [t.record() for t in self.trials]})


def restored_trials(folder, names, records, *, resume_errored=False, restart_errored=False):
    """The trials of an experiment as they are on disk; those that were running wait again."""
    trials = []
    for record in records:
        where = folder.at(record['name'])
        try:
            setting = names.loads(_state.read_bytes(os.path.join(where, 'setting.pickle')))
        except FileNotFoundError:
            raise ValueError(f"{folder.path}: trial {record['name']} has no setting.pickle any more: its folder was removed") from None
        trial = Trial.of_record(record, where, setting)
        if trial.status == ERROR and (resume_errored or restart_errored):
            trial.status, trial.error_text = PENDING, None
            if restart_errored:
                _forget(trial)
        if trial.status == RUNNING:
            trial.status = PENDING
        if trial.is_over:
            trial.result = _result_of(trial)
            trial.error = trial.result.error
        trials.append(trial)
    return trials


def _forget(trial):
    import shutil
    for name in os.listdir(trial.folder):
        if name.startswith('checkpoint_') or name in ('metrics.jsonl', 'error.pickle'):
            path = os.path.join(trial.folder, name)
            shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)


def _result_of(trial):
    error, last = None, trial.last_checkpoint()
    if trial.status == ERROR:
        try:
            error = pickle.loads(_state.read_bytes(os.path.join(trial.folder, 'error.pickle')))[0]
        except Exception:  # of a class that is not here any more
            error = None
        error = error or RuntimeError(trial.error_text)
    return Result(dict(trial.metrics), _state.read_metrics(trial.folder), [], trial.seconds, 0, {}, error=error,
                  checkpoint=Checkpoint(last) if last else None, path=trial.folder)


def searcher_of(config, param_space):
    """The search algorithm of a TuneConfig, ready to be asked."""
    searcher = config.search_alg or BasicVariantGenerator()
    searcher.set_search_properties(config.metric, config.mode, param_space)
    if isinstance(searcher, BasicVariantGenerator):
        searcher.prepare(param_space, config.num_samples)
    return searcher
