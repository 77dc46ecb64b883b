# SPDX-License-Identifier: Apache-2.0
"""Two training processes, each fed its shard of one read; the loop is sent to them, the script is not run again.

    python two_workers.py trips/
"""
import sys

import headrace
from headrace import train
from headrace.preprocessors import BatchMapper, Chain, StandardScaler


def loop(config):
    shard = train.get_dataset_shard("train")
    for epoch in range(config["epochs"]):
        rows = 0
        for batch in shard.iter_batches(batch_size=512):
            rows += len(batch["fare"])
        train.report(epoch=epoch, rows=rows)


trips = headrace.read_parquet(sys.argv[1] if len(sys.argv) > 1 else "trips/")
result = train.Trainer(
    loop,
    train_loop_config={"epochs": 2},
    scaling_config=train.ScalingConfig(num_workers=2),
    datasets={"train": trips},
    preprocessor=Chain(BatchMapper(lambda df: df * 2), StandardScaler(["fare", "distance"])),
).fit()
print(result.metrics["rows"], "rows an epoch in rank 0,", len(result.workers), "workers")
