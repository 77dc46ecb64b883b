# SPDX-License-Identifier: Apache-2.0
"""Trainers: worker processes that are started, fed and watched in C.

In the script: Trainer(loop, scaling_config=ScalingConfig(num_workers=2), datasets={"train": ds}).fit(). In the loop, which runs
in each worker: get_dataset_shard("train"), report(...), world_rank(), world_size(). A worker never runs the script again.

DummyTrainer is the ingest check: workers that only read, and a report of what reading cost.
"""

from .check import DummyTrainer
from .config import ScalingConfig
from .session import DatasetShard, get_dataset_shard, print_line, report, world_rank, world_size
from .trainer import Result, Trainer

__all__ = ['DatasetShard', 'DummyTrainer', 'Result', 'ScalingConfig', 'Trainer', 'get_dataset_shard', 'print_line', 'report',
           'world_rank', 'world_size']
