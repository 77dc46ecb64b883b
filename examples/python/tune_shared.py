# SPDX-License-Identifier: Apache-2.0
"""A sweep over the learning rate and the batch size of a linear model. The trips are read once, scaled once, shared by all trials.

    python tune_shared.py trips/
"""
import sys

import numpy as np

import headrace
from headrace import train, tune
from headrace.preprocessors import StandardScaler


def loop(config):
    shard, weight, bias = train.get_dataset_shard("train"), 0.0, 0.0
    for epoch in range(3):
        losses = []
        for batch in shard.iter_batches(batch_size=config["batch_size"], shuffle="window", seed=1):
            x, error = batch["distance"], weight * batch["distance"] + bias - batch["fare"]
            weight -= config["lr"] * np.mean(error * x)
            bias -= config["lr"] * np.mean(error)
            losses.append(np.mean(error**2))
        train.report(epoch=epoch, loss=float(np.mean(losses)))


trips = headrace.read_parquet(sys.argv[1] if len(sys.argv) > 1 else "trips/").select_columns(["fare", "distance"])
tuner = tune.Tuner(
    train.DataParallelTrainer(loop, datasets={"train": trips}, preprocessor=StandardScaler(["fare", "distance"])),
    param_space={"train_loop_config": {"lr": tune.grid_search([0.5, 0.05, 0.005]), "batch_size": tune.choice([256, 512])}},
    tune_config=tune.TuneConfig(metric="loss", mode="min", scheduler=tune.ASHAScheduler(max_t=3)),
)
results = tuner.fit()
best = results.get_best_result()
print("best:", best.config["train_loop_config"], "loss", round(best.metrics["loss"], 4))
print(len(results), "trials; the source was read", results.source_reads["datasets/train"].reads, "time")
