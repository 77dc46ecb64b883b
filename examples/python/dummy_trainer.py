# SPDX-License-Identifier: Apache-2.0
"""The ingest check from Python: two workers that only read, over the flights of the demo.

    python dummy_trainer.py FOLDER
"""
import sys

import headrace
from headrace.preprocessors import StandardScaler
from headrace.train import DummyTrainer, ScalingConfig

flights = headrace.read_parquet(sys.argv[1] if len(sys.argv) > 1 else "flights/", columns=["dep_delay", "arr_delay", "air_time", "distance"])
flights = flights.filter("air_time > 0").map("speed = distance / air_time * 60")
DummyTrainer(
    scaling_config=ScalingConfig(num_workers=2),
    datasets={"train": flights},
    preprocessor=StandardScaler(["dep_delay", "arr_delay"]),
    batch_size=1024,
    num_epochs=3,
).fit()
