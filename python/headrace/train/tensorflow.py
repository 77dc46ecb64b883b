# SPDX-License-Identifier: Apache-2.0
"""TensorflowTrainer: the workers know each other by TF_CONFIG, as tf.distribute.MultiWorkerMirroredStrategy wants it."""

import json
import os

from .ports import free_ports
from .session import call_loop, world_rank, world_size
from .trainer import DataParallelTrainer


class TensorflowTrainer(DataParallelTrainer):
    """A DataParallelTrainer with TF_CONFIG set before the loop, which makes the strategy and the model in its scope. Workers
    step together: where an epoch's last step is not full its rows are repeated, unless a DatasetConfig's tail says otherwise.
    Keras 3's fit does not know MultiWorkerMirroredStrategy: write the step with strategy.run, or use tf_keras
    (TF_USE_LEGACY_KERAS=1).
    """
    _steps_together = True

    def training_loop(self):
        return _Loop(self.train_loop_per_worker, self.scaling_config.num_workers), self.train_loop_config


class _Loop:
    """What runs in a worker: the user's loop with its neighbours known."""

    def __init__(self, loop, workers):
        self.loop, self.ports = loop, free_ports(workers)

    def __call__(self, config):
        os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
        if world_size() > 1:
            os.environ['TF_CONFIG'] = json.dumps({
                'cluster': {'worker': [f'127.0.0.1:{port}' for port in self.ports]},
                'task': {'type': 'worker', 'index': world_rank()}})
        return call_loop(self.loop, config)
