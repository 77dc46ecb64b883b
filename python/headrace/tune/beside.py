# SPDX-License-Identifier: Apache-2.0
"""Work beside the experiment's loop: what makes a trial's data may take minutes, and other trials report meanwhile."""

import queue
import threading

from .._runtime import runtime

PATIENCE_S = 5.0  # for a function that is at it when the experiment ends; what the library does ends at once


class Beside:
    """Does one thing at a time in a thread of its own, which lives as long as the experiment. begin, wait and result are the
    loop's; what the thread raises, result raises."""

    def __init__(self):
        self._tasks, self._done = queue.SimpleQueue(), threading.Event()
        self._thread = self._outcome = None
        self.owner = None  # whom it works for; None: nobody

    def begin(self, owner, work):
        assert self.owner is None
        if self._thread is None:  # a daemon: a function that never returns does not keep the program
            self._thread = threading.Thread(target=self._run, name='headrace-trial', daemon=True)
            self._thread.start()
        self.owner = owner
        self._done.clear()
        self._tasks.put(work)

    def _run(self):
        while (work := self._tasks.get()) is not None:
            try:
                self._outcome = work(), None
            except BaseException as e:
                self._outcome = None, e
            self._done.set()

    def wait(self, seconds):
        """Whether it is done, now or within so many seconds."""
        return self._done.wait(seconds)

    def result(self):
        value, error = self._outcome
        self.owner = self._outcome = None
        if error is not None:
            raise error
        return value

    def close(self):
        """Ends what it is at: reading and materialising at once, a function when it returns."""
        if self._thread is None:
            return
        self._tasks.put(None)
        if self.owner is not None and not self._done.is_set():
            rt = runtime()
            rt.interrupt()
            try:
                self._thread.join(PATIENCE_S)
            finally:
                rt.resume()
        else:
            self._thread.join(PATIENCE_S)
        self._thread = self.owner = None
