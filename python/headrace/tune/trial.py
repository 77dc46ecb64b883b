# SPDX-License-Identifier: Apache-2.0
"""A trial: one setting of the parameters, and what came of it so far."""

import os
import time

PENDING, RUNNING, TERMINATED, ERROR = 'PENDING', 'RUNNING', 'TERMINATED', 'ERROR'


class Trial:
    """number counts from 0. status: PENDING (it also waits after an interruption), RUNNING, TERMINATED (it ended by itself, or
    `stopped_by` says what stopped it), ERROR."""

    def __init__(self, number, name, folder, setting):
        self.number, self.id, self.name, self.folder, self.setting = number, f'{number:05d}', name, folder, setting
        self.status, self.stopped_by, self.error, self.result = PENDING, None, None, None
        self.error_text = None
        self.metrics, self.reports, self.seconds = {}, 0, 0.0
        self.checkpoints = {}  # folder's name -> how many reports there were when it was committed
        self.sources = []  # what was read of what functions in its setting made
        self.own = []  # (index in sources, dataset, figures before) while it runs
        self.run = None
        self._began, self.kept_history = None, []

    @property
    def is_over(self):
        return self.status in (TERMINATED, ERROR)

    # --- while it runs ---

    def began(self, run):
        self.run, self.status, self._began = run, RUNNING, time.monotonic()

    def elapsed(self):
        """Seconds of training, those before an interruption included."""
        return self.seconds + (time.monotonic() - self._began if self._began is not None else 0.0)

    def reported(self, metrics):
        """The metrics with what is counted beside them."""
        self.reports = max(self.reports + 1, int(metrics.get('training_iteration', 0)))
        self.metrics = {'training_iteration': self.reports, 'time_total_s': self.elapsed(), **metrics, 'trial_id': self.id}
        return self.metrics

    def rest(self, status):
        """It runs no more."""
        self.seconds, self._began, self.status, self.run = self.elapsed(), None, status, None

    # --- on disk ---

    def record(self):
        return {'number': self.number, 'name': self.name, 'status': self.status, 'stopped_by': self.stopped_by,
                'seconds': self.elapsed(), 'reports': self.reports, 'metrics': self.metrics, 'error': self.error_text,
                'checkpoints': self.checkpoints, 'sources': self.sources}

    @classmethod
    def of_record(cls, record, folder, setting):
        trial = cls(record['number'], record['name'], folder, setting)
        for name in ('status', 'stopped_by', 'seconds', 'reports', 'metrics', 'checkpoints', 'sources'):
            setattr(trial, name, record[name])
        trial.error_text = record['error']
        return trial

    def last_checkpoint(self):
        """The path of its newest checkpoint, None when there is none. A folder of this name is whole."""
        try:
            found = sorted(n for n in os.listdir(self.folder) if n.startswith('checkpoint_') and n[11:].isdigit())
        except FileNotFoundError:
            return None
        return os.path.join(self.folder, found[-1]) if found else None
