# SPDX-License-Identifier: Apache-2.0
"""Run: a trainer's loop under way in its workers, from its start to its Result. Several of them may run at once in one thread
(trainers_wait of the extension); fit starts one and waits for it.
"""

import json
import os
import shutil
import time

from .. import _core, _function, _worker
from .._runtime import runtime
from .checkpoint import Checkpoint, saved_preprocessor
from .page import FILE, Page, take_figures
from .result import Result


class Run:
    """handle is the extension's Trainer once start said True; finish gives the Result, whose error is not raised."""

    def __init__(self, trainer, loop, config, *, name=None, folder=None, on_report=None):
        self.trainer, self.run_config, self.folder = trainer, trainer.run_config, folder
        self.name = name or (os.path.basename(folder) if folder else type(trainer).__name__)
        self.handle = self.waits_for = None
        self.history, self.checkpoints = [], []
        self.config = config
        self.page = Page() if trainer.datasets and (folder is not None or trainer.html is not None) else None
        self._on_report, self._stopped, self.began, self._temporary = on_report, False, time.monotonic(), None
        self._payload = _function.envelope(_function.pickled((loop, config, self._told()), 'the training loop'))

    def _told(self):
        """What workers know besides the loop. A checkpoint that stands in no run has no place in the data to resume at."""
        told = {'orders': {name: c.order() for name, c in self.trainer.dataset_configs().items()},
                'counted': self.trainer._counts_reports, 'folder': self.folder and os.path.abspath(self.folder)}
        self._resume_from, checkpoint = None, self.trainer.resume_from_checkpoint
        if checkpoint is not None:
            if checkpoint.path is None:
                self._temporary = checkpoint.to_directory()
            path = self._temporary or checkpoint.path
            if os.path.exists(os.path.join(path, 'headrace.json')):
                self._resume_from = path
            else:
                told['checkpoint'] = path
        return told

    def start(self):
        """True once it runs. False: slots are taken, and waits_for says by whom; ask again when another run has ended."""
        t, config = self.trainer, self.run_config
        keeping, failures = config.checkpoint_config, config.failure_config
        configs, rt = t.dataset_configs(), runtime()
        if self.folder is not None:
            os.makedirs(self.folder, exist_ok=True)
        made = _core.trainer_start(
            rt, _function.worker_argv(), self._payload,
            [(name, d._handle, bool(configs[name].split)) for name, d in t.datasets.items()],
            workers=t.scaling_config.num_workers, worker_idle_s=t.worker_idle_s, on_report=self._reported,
            on_line=self._line, on_checkpoint=self._committed, on_restart=self._restarted, name=self.name,
            run_folder=self.folder, resume_from=self._resume_from, keep=keeping.num_to_keep or 0,
            keep_metric=keeping.checkpoint_score_attribute, keep_smallest=keeping.checkpoint_score_order == 'min',
            preprocessor=None if t.preprocessor is None or self.folder is None else saved_preprocessor(t.preprocessor),
            max_failures=failures.max_failures, fail_fast=t._ends_together,
            ingest_bytes=t.scaling_config.ingest_bytes, ingest_threads=t.scaling_config.ingest_threads,
            **t.scaling_config.slots(rt.slots()['cpus']))
        if isinstance(made, str):
            self.waits_for = made
            return False
        self.handle, self.waits_for, self.began = made, None, time.monotonic()
        if self.folder is not None and self._resume_from is None:
            open(self._metrics_file, 'w').close()
        return True

    def wait(self):
        """Starts it as soon as it can, and returns when it has ended."""
        told = None
        while not self.start():
            if self.waits_for != told:
                told = self.waits_for
                self._say(f'{self.name} {told}')
            time.sleep(0.05)
        while not (self.page.wait(self) if self.page else self.handle.wait()):
            pass

    def stop(self):
        """Ends it early; that is no failure."""
        self._stopped = True
        if self.handle is not None:
            self.handle.cancel()

    def finish(self):
        """What came of it; ends it when it still runs."""
        known, status, message = self.handle.finish()
        workers = known['workers']
        for worker in workers:
            take_figures(worker)
            if worker['end'] in _ENDS and not self._stopped:
                self._say(f"worker {worker['rank']} {_ENDS[worker['end']]} (code {worker['exit_code']}) after "
                          f"{worker['batches']} batches; {worker['undelivered_rows']} rows of its epoch were not delivered")
        first = min((rank for rank, _, _ in self.checkpoints), default=0)  # a later rank's end may come after rank 0's
        kept = [(Checkpoint(folder), metrics) for rank, folder, metrics in self.checkpoints
                if rank == first and os.path.isdir(folder)]
        last, by = kept[-1][0].path if kept else known['last_checkpoint'], self.run_config.checkpoint_config
        if by.checkpoint_score_attribute:
            kept = [k for k in kept if by.checkpoint_score_attribute in k[1]]
            kept.sort(key=lambda k: k[1][by.checkpoint_score_attribute], reverse=by.checkpoint_score_order == 'max')
        result = Result(
            metrics=self.history[-1] if self.history else {}, metrics_history=self.history, workers=workers,
            seconds=known['seconds'], peak_anonymous_bytes=known['peak_anonymous_bytes'], busy=known['busy'],
            checkpoint=Checkpoint(last) if last else None, best_checkpoints=kept, path=self.folder, lives=known['lives'],
            config=self.config if isinstance(self.config, dict) else None, peak_bytes=known['peak_bytes'])
        if status and not self._stopped:
            result.error = _error_of(workers, known['lives'], message)
            if self.trainer._steps_together and len({w['batches'] for w in workers}) > 1 and any(
                    w['end'] == 'done' for w in workers):  # nobody is left who would call them
                result.error.add_note('workers that wait for each other at each step were given '
                                      + ', '.join(str(w['batches']) for w in workers)
                                      + " batches: tail='pad' or drop_last=True makes them equal")
        if self._temporary:
            shutil.rmtree(self._temporary, ignore_errors=True)
        self._say_unheard()
        self._write_page(result)
        self._tell('on_end', result)
        return result

    def _say_unheard(self):
        """Metrics that the configuration names and no report had: misspelt, it may be."""
        heard = dict.fromkeys(name for metrics in self.history for name in metrics)
        stop, score = self.run_config.stop, self.run_config.checkpoint_config.checkpoint_score_attribute
        named = [('stop', name) for name in stop if name not in _COUNTED] if isinstance(stop, dict) else []
        for what, name in named + ([('checkpoint_score_attribute', score)] if score else []):
            if heard and name not in heard:
                self._say(f'{what} names {name!r}, and no report of {self.name} had it; they had {", ".join(heard)}')

    def _write_page(self, result):
        t = self.trainer
        if self.page is None:
            return
        datasets = dict(sorted(t.datasets.items(), key=lambda item: item[0] != 'train'))
        try:
            text = self.page.text(datasets, result, title=t._page_title(self), touch=t.touch)
            for path in (t.html, None if self.folder is None else os.path.join(self.folder, FILE)):
                if path is not None:
                    with open(path, 'w', encoding='utf-8') as f:
                        f.write(text)
        except (OSError, _core.Error) as e:  # of a run that is done
            self._say(f'no page of {self.name}: {e}')

    @property
    def _metrics_file(self):
        return os.path.join(self.folder, 'metrics.jsonl')

    # --- what the workers say ---

    def _line(self, rank, line):
        if rank < 0 and self.page is not None:  # the watchdog's
            self.page.stalls.append(line)
        self.trainer._on_line(rank, line)

    def _say(self, text):
        if self.run_config.verbose:
            self.trainer._on_line(-1, f'headrace: {text}')

    def _tell(self, what, *args):
        for callback in self.run_config.callbacks:
            if hasattr(callback, what):
                getattr(callback, what)(*args)

    def _reported(self, rank, text):
        metrics = json.loads(text) if rank == 0 else None
        if not metrics:
            return
        self.history.append(metrics)
        if self.folder is not None:
            with open(self._metrics_file, 'a', encoding='utf-8') as f:
                f.write(json.dumps(metrics) + '\n')
        if self.run_config.verbose > 1:
            self._say(f'{self.name}: {metrics}')
        self._tell('on_report', metrics)
        if self._on_report is not None:
            self._on_report(self, metrics)
        if self._reached(metrics):
            self.stop()

    def _reached(self, metrics):
        stop = self.run_config.stop
        if not stop:
            return False
        counted = {'training_iteration': len(self.history), 'time_total_s': time.monotonic() - self.began, **metrics}
        if callable(stop):
            return bool(stop(self.name, counted))
        return any(name in counted and counted[name] >= value for name, value in stop.items())

    def _committed(self, rank, text, folder):
        metrics = json.loads(text)
        self.checkpoints.append((rank, folder, metrics))
        self._tell('on_checkpoint', Checkpoint(folder), metrics)

    def _restarted(self, number, reason):
        self._say(f'{self.name} starts its workers again ({number}): {reason}')


_COUNTED = ('training_iteration', 'time_total_s')
_ENDS = {'died': 'died', 'idle': 'was idle for too long and was ended'}


def _error_of(workers, lives, message):
    """The exception of the loop that ended the run, as it was where it can travel."""
    first = lives[-1]['rank'] if lives else -1
    for worker in sorted(workers, key=lambda w: w['rank'] != first):
        if worker['end'] == 'failed':
            error = _worker.rebuild(worker['details'], worker['message'] or '') if worker['details'] else None
            if error is not None:
                error.add_note(f"in the training loop of worker {worker['rank']}")
                return error
            return _core.FunctionError(f"worker {worker['rank']}: {worker['message']}")
        if worker['rank'] == first:
            break
    return _core.FunctionError(message)
