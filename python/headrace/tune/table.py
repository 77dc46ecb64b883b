# SPDX-License-Identifier: Apache-2.0
"""What an experiment prints: on a terminal a table that is updated in place, else a line for each trial that ends and the
table at the end. With verbose=0 nothing but what trials print themselves."""

import collections
import shutil
import sys
import threading
import time

from . import space as _space

EVERY_S = 0.5  # at most that often on a terminal
COLUMNS_MAX = 8
ROWS_MAX = 20
_OWN = ('training_iteration', 'time_total_s', 'trial_id')


class Table:
    """trials: the experiment's list, looked at whenever it is drawn."""

    def __init__(self, trials, *, metric=None, verbose=1, stream=None):
        self._trials, self._metric, self._verbose = trials, metric, verbose
        self._stream = stream or sys.stdout
        self._in_place = bool(verbose) and self._stream.isatty()
        self._drawn, self._last, self._said = 0, 0.0, None
        self._thread, self._from_beside = threading.get_ident(), collections.deque()

    # --- lines above it ---

    def line(self, text):
        """A line that stays; of another thread, once the experiment's own looks."""
        if threading.get_ident() != self._thread:
            self._from_beside.append(text)
            return
        self.tell()
        self.erase()
        print(text, file=self._stream, flush=True)

    def tell(self):
        """What other threads said."""
        while self._from_beside:
            self.erase()
            print(self._from_beside.popleft(), file=self._stream, flush=True)

    def say(self, text):
        """Words of the experiment; silent with verbose=0."""
        if self._verbose:
            self.line(f'headrace: {text}')

    def waits(self, text):
        """What the next trial waits for; said once."""
        if text != self._said:
            self._said = text
            self.say(text)

    def ended(self, trial):
        if self._verbose and not self._in_place:
            self.line(f'headrace: {_summary(trial, self._metric)}')

    # --- the table ---

    def erase(self):
        """Whoever prints next has the line to itself."""
        if self._drawn:
            self._stream.write(f'\x1b[{self._drawn}A\x1b[J')
            self._stream.flush()
            self._drawn = 0

    def tick(self):
        self.tell()
        if self._in_place and time.monotonic() - self._last >= EVERY_S:
            self._draw()

    def final(self):
        self.tell()
        self.erase()
        if self._verbose and self._trials:
            print('\n'.join(self.text()), file=self._stream, flush=True)

    def _draw(self):
        self.erase()
        size = shutil.get_terminal_size()
        lines = [line[:size.columns - 1] for line in self.text(min(ROWS_MAX, max(1, size.lines - 6)))]
        self._stream.write('\n'.join(lines) + '\n')
        self._stream.flush()
        self._drawn, self._last = len(lines), time.monotonic()

    def text(self, rows_max=None):
        """The table as lines; those that run or failed come first when there is no room for all."""
        counts = {}
        for trial in self._trials:
            counts[trial.status] = counts.get(trial.status, 0) + 1
        shown = self._trials
        if rows_max is not None and len(shown) > rows_max:
            order = {'RUNNING': 0, 'ERROR': 1, 'TERMINATED': 2, 'PENDING': 3}
            shown = sorted(shown, key=lambda t: (order[t.status], t.number))[:rows_max]
        left = len(self._trials) - len(shown)
        lines = [f"{len(self._trials)} trials: {', '.join(f'{n} {s}' for s, n in sorted(counts.items()))}"
                 + (f' ({left} not shown)' if left else '')]
        return lines + _grid(self._cells(shown))

    def _cells(self, trials):
        settings = [_space.flat(t.setting) for t in trials]
        names = list(dict.fromkeys(n for s in settings for n in s))
        searched = [n for n in names if len({repr(s.get(n)) for s in settings}) > 1] if len(trials) > 1 else names
        searched = searched[:COLUMNS_MAX]
        metrics = list(dict.fromkeys(n for t in trials for n, v in t.metrics.items() if n not in _OWN and _is_number(v)))
        if self._metric in metrics:
            metrics.remove(self._metric)
            metrics.insert(0, self._metric)
        metrics = metrics[:max(1, COLUMNS_MAX - len(searched))]
        yield ['trial', 'status', *(n.rpartition('/')[2] for n in searched), 'iter', 'time (s)', *metrics]
        for trial, setting in zip(trials, settings):
            yield [trial.name, _status(trial), *(_cell(setting.get(n)) for n in searched), str(trial.reports),
                   f'{trial.elapsed():.1f}', *(_cell(trial.metrics.get(n)) for n in metrics)]


def _status(trial):
    return f'{trial.status} ({trial.stopped_by})' if trial.stopped_by else trial.status


def _summary(trial, metric):
    words = [f'{trial.name} {_status(trial)} after {trial.elapsed():.1f} s, {trial.reports} reports']
    if trial.error_text:
        words.append(trial.error_text)
    elif metric in trial.metrics:
        words.append(f'{metric} {_cell(trial.metrics[metric])}')
    return ': '.join(words)


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _cell(value):
    if value is None:
        return ''
    if isinstance(value, float):
        return f'{value:.6g}'
    if callable(value) and hasattr(value, '__name__'):
        return value.__name__
    text = str(value).replace('\n', ' ')
    return text if len(text) <= 24 else text[:21] + '...'


def _grid(rows):
    rows = list(rows)
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    lines = ['  '.join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    return [lines[0], '  '.join('-' * w for w in widths), *lines[1:]]
