# SPDX-License-Identifier: Apache-2.0
"""PyTorch on real images: handwritten digits, which ship in scikit-learn, stored as a tensor column of a Parquet file.

    python torch_images.py FOLDER
"""
import pathlib
import sys

import numpy as np
from sklearn.datasets import load_digits

import headrace
from headrace import train

digits = load_digits()
folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "digits/")
folder.mkdir(parents=True, exist_ok=True)
images = digits.images.astype(np.uint8)[:, None]  # [rows, 1, 8, 8]
for name, rows in (("train", slice(0, 1500)), ("valid", slice(1500, None))):
    headrace.from_numpy({"image": images[rows], "digit": digits.target[rows]}).write_parquet(
        folder / name, row_group_rows=256)


def loop(config):
    import torch
    from headrace.train.torch import prepare_model

    torch.manual_seed(0)
    model = prepare_model(torch.nn.Sequential(
        torch.nn.Conv2d(1, 16, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Flatten(),
        torch.nn.Linear(16 * 4 * 4, 10)))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    shard, valid = train.get_dataset_shard("train"), train.get_dataset_shard("valid")
    for epoch in range(config["epochs"]):
        for batch in shard.iter_torch_batches(batch_size=64, shuffle="window", seed=1, epochs=config["epochs"]):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(batch["image"].view(-1, 1, 8, 8)), batch["digit"]).backward()
            optimizer.step()
        right = rows = 0
        with torch.no_grad():
            for batch in valid.iter_torch_batches(batch_size=256, epochs=config["epochs"]):
                right += (model(batch["image"].view(-1, 1, 8, 8)).argmax(1) == batch["digit"]).sum().item()
                rows += len(batch["digit"])
        train.report(epoch=epoch, right=right, rows=rows)


result = train.TorchTrainer(
    loop,
    train_loop_config={"epochs": 5},
    scaling_config=train.ScalingConfig(num_workers=2),
    datasets={name: headrace.read_parquet(folder / name).map("image = cast(image, float32) / 16")
              for name in ("train", "valid")},
).fit()
print(f"{result.metrics['right']} of {result.metrics['rows']} digits are read right")
