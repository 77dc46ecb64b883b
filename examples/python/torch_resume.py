# SPDX-License-Identifier: Apache-2.0
"""A job that may be killed at any time and started again: it goes on at the row after its last checkpoint.

    python torch_resume.py FOLDER      # kill -9 it, start it again, with another number of workers if you like
    python torch_resume.py FOLDER 1

FOLDER gets the data (handwritten digits, which ship in scikit-learn) and the run. The checkpoint also counts the rows that
went into it, so that the end can tell: every row of every epoch once, whatever happened on the way.
"""
import pathlib
import sys

import numpy as np
from sklearn.datasets import load_digits

import headrace
from headrace import train

ROWS, EPOCHS, STEP_ROWS, CHECKPOINT_STEPS = 1797, 3, 50, 5


def loop():
    import torch
    import torch.distributed as group
    from headrace.train.torch import prepare_model

    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    model, loss = prepare_model(net), torch.zeros(())
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
    seen = torch.zeros(EPOCHS, ROWS, dtype=torch.int64)  # how often each row went into the model, in each epoch
    checkpoint = train.get_checkpoint()
    if checkpoint is not None:
        state = checkpoint.to_dict()
        net.load_state_dict(state["net"])
        optimizer.load_state_dict(state["optimizer"])
        seen = state["seen"]
        if train.world_rank() == 0:
            train.print_line(f"goes on from {checkpoint.path.rpartition('/')[2]}, after {seen.sum()} rows")

    def save(**metrics):
        train.report(metrics, checkpoint=train.Checkpoint.from_dict(
            {"net": net.state_dict(), "optimizer": optimizer.state_dict(), "seen": seen}))

    shard = train.get_dataset_shard("train")
    for epoch in shard.epochs(EPOCHS):
        steps = shard.iter_torch_batches(  # "uneven": the last 47 rows are a step of 23 and 24, none is repeated
            global_batch_size=STEP_ROWS, tail="uneven", shuffle="window", seed=5, epochs=EPOCHS)
        for step, batch in enumerate(steps):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(batch["pixels"]), batch["digit"])
            loss.backward()
            optimizer.step()
            mine = torch.zeros(ROWS, dtype=torch.int64)
            mine[batch["row"]] = 1
            group.all_reduce(mine)
            seen[epoch] += mine
            if step % CHECKPOINT_STEPS == 0:
                save(epoch=epoch, loss=loss.item())
    save(epoch=EPOCHS - 1, loss=loss.item(), once=bool((seen == 1).all()))


folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "digits/")
if not (folder / "digits").exists():
    folder.mkdir(parents=True, exist_ok=True)
    pixels, digit = load_digits(return_X_y=True)
    headrace.from_numpy({"pixels": (pixels / 16).astype("float32"), "digit": digit, "row": np.arange(ROWS)}).write_parquet(
        folder / "digits", row_group_rows=256)
result = train.TorchTrainer(
    loop,
    scaling_config=train.ScalingConfig(num_workers=int(sys.argv[2]) if len(sys.argv) > 2 else 2),
    datasets={"train": headrace.read_parquet(folder / "digits")},
    run_config=train.RunConfig(name="run", storage_path=folder, checkpoint_config=train.CheckpointConfig(num_to_keep=2)),
    resume_from_checkpoint=train.Checkpoint.latest(folder / "run"),
).fit()
print(f"loss {result.metrics['loss']:.3f}; every row once in each epoch: {result.metrics['once']}")
