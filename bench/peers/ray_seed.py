# SPDX-License-Identifier: Apache-2.0
"""The seed's job by Ray Data, streamed: a range of tensors, times two, times two, every word read.

    ray_seed.py [--rows 20000] [--blocks 40] [--cpus 4] [--passes 5]

A pass is an epoch: the chain runs again, nothing is kept. Batches are whole blocks. The first pass starts the workers.
"""

import argparse

import ray
from peer_passes import report, touch_numpy


def double(batch):
    return {"data": batch["data"] * 2}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--blocks", type=int, default=40)
    parser.add_argument("--cpus", type=int, default=4)
    parser.add_argument("--passes", type=int, default=5)
    args = parser.parse_args()
    ray.init(num_cpus=args.cpus, include_dashboard=False, logging_level="error", log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    data = ray.data.range_tensor(args.rows, shape=(80, 80, 4), override_num_blocks=args.blocks)
    data = data.map_batches(double, batch_size=None).map_batches(double, batch_size=None)

    def epoch():
        total, size, count = 0, 0, 0
        for batch in data.iter_batches(batch_size=None, batch_format="numpy", prefetch_batches=1):
            part = touch_numpy(batch["data"])
            total, size, count = total + part[0], size + part[1], count + len(batch["data"])
        return count, size, total & (2**64 - 1)

    report("ray_seed", epoch, args.passes, version=ray.__version__)


if __name__ == "__main__":
    main()
