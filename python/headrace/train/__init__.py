# SPDX-License-Identifier: Apache-2.0
"""Trainers: worker processes that are started, fed and watched in C.

In the script: DataParallelTrainer(loop, scaling_config=ScalingConfig(num_workers=2), datasets={"train": ds}).fit(), or
TorchTrainer, TensorflowTrainer, SklearnTrainer. In the loop, which runs in each worker: get_dataset_shard("train"),
report(metrics, checkpoint=...), get_checkpoint(), world_rank(), world_size(). A worker never runs the script again.

DummyTrainer is the ingest check: workers that only read, and a report of what reading cost.
"""

from .check import DummyTrainer
from .checkpoint import Checkpoint
from .config import CheckpointConfig, DatasetConfig, FailureConfig, RunConfig, ScalingConfig
from .result import Result
from .session import (DatasetShard, get_checkpoint, get_dataset_shard, local_rank, print_line, report, world_rank,
                      world_size)
from .trainer import DataParallelTrainer, Trainer

_LAZY = {'TorchTrainer': 'torch', 'TensorflowTrainer': 'tensorflow', 'SklearnTrainer': 'sklearn'}
__all__ = ['Checkpoint', 'CheckpointConfig', 'DataParallelTrainer', 'DatasetConfig', 'DatasetShard', 'DummyTrainer',
           'FailureConfig', 'Result', 'RunConfig', 'ScalingConfig', 'Trainer', 'get_checkpoint', 'get_dataset_shard',
           'local_rank', 'print_line', 'report', 'world_rank', 'world_size', *_LAZY]


def __getattr__(name):
    if name in _LAZY:
        import importlib
        return getattr(importlib.import_module('.' + _LAZY[name], __name__), name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
