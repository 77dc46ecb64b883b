# SPDX-License-Identifier: Apache-2.0
"""Trainer: a function run in worker processes, each fed with its part of the datasets."""

import dataclasses
import json

from .. import _core
from .._runtime import runtime
from .config import ScalingConfig


@dataclasses.dataclass
class Result:
    """What came of fit: the last metrics of rank 0, all of them, and what became of each worker."""
    metrics: dict
    metrics_history: list
    workers: list
    seconds: float
    peak_anonymous_bytes: int
    busy: dict
    error: Exception = None


class Trainer:
    """Runs a function in worker processes, each fed with its part of the datasets.

    datasets: a dict of name to Dataset (or to a function without arguments that makes one). "train" is split between the
    workers, the others go whole to each. preprocessor: fitted on "train", applied to all.
    """

    def __init__(self, train_loop_per_worker, *, train_loop_config=None, scaling_config=None, datasets=None,
                 preprocessor=None, run_config=None, worker_idle_s=0.0):
        self.train_loop_per_worker, self.train_loop_config = train_loop_per_worker, train_loop_config
        self.scaling_config = ScalingConfig.of(scaling_config)
        self.datasets, self.preprocessor = dict(datasets or {}), preprocessor
        self.run_config, self.worker_idle_s = run_config, worker_idle_s

    def preprocess_datasets(self):
        """Makes, fits and transforms; streamed, so that nothing is read but what fitting needs."""
        made = {n: d() if callable(d) else d for n, d in self.datasets.items()}
        if self.preprocessor is not None:
            if 'train' in made and self.preprocessor.fit_status() is not self.preprocessor.FitStatus.FITTED:
                self.preprocessor.fit(made['train'])
            made = {n: self.preprocessor.transform(d) for n, d in made.items()}
        self.datasets = made

    def fit(self):
        """Runs to the end. A failure of the loop comes back as the exception it was."""
        self.preprocess_datasets()
        return self._run(self.train_loop_per_worker, self.train_loop_config)

    def _run(self, loop, config):
        from .. import _function
        history, lines = [], self._on_line

        def on_report(rank, text):
            if rank == 0:
                history.append(json.loads(text))

        payload = _function.envelope(_function.pickled((loop, config), 'the training loop'))
        known, status, message = _core.trainer_run(
            runtime(), _function.worker_argv(), payload,
            [(name, d._handle, name == 'train') for name, d in self.datasets.items()],
            workers=self.scaling_config.num_workers, worker_idle_s=self.worker_idle_s, on_report=on_report, on_line=lines)
        result = Result(history[-1] if history else {}, history, known['workers'], known['seconds'],
                        known['peak_anonymous_bytes'], known['busy'])
        for worker in known['workers']:
            if worker['end'] in ('died', 'idle'):
                print(f"headrace: worker {worker['rank']} {_ENDS[worker['end']]} (code {worker['exit_code']}) after "
                      f"{worker['batches']} batches; {worker['undelivered_rows']} rows of its epoch were not delivered")
        if status:
            result.error = _error_of(known['workers'], message)
            raise result.error
        return result

    def _on_line(self, rank, line):
        print(line, flush=True)


_ENDS = {'died': 'died', 'idle': 'was idle for too long and was ended'}


def _error_of(workers, message):
    from .. import _worker
    for worker in workers:
        if worker['end'] == 'failed':
            error = _worker.rebuild(worker['details'], worker['message'] or '') if worker['details'] else None
            if error is not None:
                error.add_note(f"in the training loop of worker {worker['rank']}")
                return error
            return _core.FunctionError(f"worker {worker['rank']}: {worker['message']}")
    return _core.Error(message)
