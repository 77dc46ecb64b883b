# SPDX-License-Identifier: Apache-2.0
"""Result: what came of a run."""

import dataclasses


@dataclasses.dataclass(repr=False)
class Result:
    """The last metrics of rank 0, all of them, the last checkpoint, and what became of each worker.

    checkpoint: the last one of rank 0 (of the lowest rank that reported any). best_checkpoints: those of it that were kept,
    [(Checkpoint, metrics)], best first where CheckpointConfig names a metric. lives: each start of the workers, with what ended
    it and the checkpoint it began from. path: the run's folder, None when nothing was kept; report.html in it draws what feeding
    it cost. workers: a dict for each; 'ingest' in it has what it read and how long it waited.
    """
    metrics: dict
    metrics_history: list
    workers: list
    seconds: float
    peak_anonymous_bytes: int
    busy: dict
    error: Exception = None
    checkpoint: object = None
    best_checkpoints: list = dataclasses.field(default_factory=list)
    path: str = None
    lives: list = dataclasses.field(default_factory=list)
    config: dict = None
    peak_bytes: int = 0

    def __repr__(self):
        last = f', error={self.error!r}' if self.error is not None else ''
        return (f'Result(metrics={self.metrics}, checkpoint={self.checkpoint}, path={self.path!r}, seconds={self.seconds:.3g}, '
                f'{len(self.workers)} workers{last})')

    @property
    def metrics_dataframe(self):
        """The metrics of all reports of rank 0, a row each."""
        import pandas as pd
        return pd.DataFrame(self.metrics_history)

    @property
    def restarts(self):
        return max(0, len(self.lives) - 1)
