# SPDX-License-Identifier: Apache-2.0
"""report.html: what feeding a run cost, as one page (made in C, check_page.c). Workers bring figures of their feeds with their end;
the driver samples rows and memory while it waits.
"""

import json
import time

from .. import _core
from .._runtime import runtime

FILE = 'report.html'
_SAMPLE_S, _SAMPLES_MAX = 0.02, 512
_FIGURES = ('batches', 'rows', 'bytes', 'delay_p50_s', 'delay_p95_s', 'delay_max_s', 'wait_s', 'own_s', 'first_batch_s')
_ENDS = ('done', 'failed', 'died', 'idle', 'cancelled')
CAUSES = (('storage_s', 'storage'), ('decompress_s', 'decompress'), ('decode_s', 'decode'), ('transform_s', 'transform'),
          ('function_s', 'functions'), ('batch_s', 'batching'), ('spill_s', 'spill'), ('memory_s', 'room in memory'))


# --- in a worker ---

def carried(figures, loop_s):
    """As bytes, for the trainer. Feeds are read in turns, so a worker's own time is what it did not wait for any."""
    figures = {**figures, 'loop_s': loop_s, 'own_s': max(0.0, loop_s - figures['wait_s'])}
    return json.dumps(figures, default=float).encode()


# --- in the script ---

def take_figures(worker):
    """Puts what a worker brought into its entry of the result, as 'ingest'."""
    if worker['end'] == 'done' and worker['details']:
        worker['ingest'], worker['details'] = json.loads(worker['details']), b''


class Page:
    """Samples of a run, and the page of it."""

    def __init__(self):
        self.every_s, self.samples, self.stalls = _SAMPLE_S, [(0.0, 0, 0)], []
        self._of_life = self._before = 0  # rows: of the life under way, of those before it

    def wait(self, run):
        """Waits for the run's end, or for the next sample; True: it has ended."""
        ended = run.handle.wait(self.every_s)
        if not ended:
            self._add(time.monotonic() - run.began, run.handle.rows)
        return ended

    def _add(self, at_s, rows):
        if rows < self._of_life:
            self._before += self._of_life
        self._of_life, (last_s, last_rows, _) = rows, self.samples[-1]
        self.samples.append((max(at_s, last_s), max(self._before + rows, last_rows), runtime().memory()['used_bytes']))
        if len(self.samples) > _SAMPLES_MAX:
            self.samples, self.every_s = self.samples[::2], 2 * self.every_s

    def text(self, datasets, result, *, title=None, touch=False):
        """datasets: those of the trainer by name, the one that it learns from first."""
        (_, first), *others = datasets.items()
        workers = [_row(w) for w in result.workers]
        if len(self.samples) > 1:  # a short run's last batches, and no rate over too short a time
            self._add(result.seconds, sum(w['rows'] for w in result.workers))
            if len(self.samples) > 3:
                del self.samples[-2]
        lives = [(float(life['seconds']), life['from_checkpoint'], life['reason']) for life in result.lives]
        return _core.check_page(runtime(), first._handle, title, touch, tuple(result.busy[key] for key, _ in CAUSES),
                                result.peak_bytes, workers, self.samples, self.stalls, lives,
                                [(name, d._handle) for name, d in others])


def _row(worker):
    figures = worker.get('ingest') or dict.fromkeys(_FIGURES, 0) | {
        'batches': worker['batches'], 'rows': worker['rows'], 'loop_s': 0.0, 'delays': []}
    return (_ENDS.index(worker['end']), worker['message'], figures['loop_s'], *(figures[k] for k in _FIGURES), figures['delays'])
