# SPDX-License-Identifier: Apache-2.0
"""The ingest check as the module of that name ran it: 10 GB of tensors, two maps, then the memory that was used."""

import argparse

from . import era


def main(argv, *, seed, rows=50_000):
    """seed: as ray.ml.utils.check_ingest (30 seconds), else as ray.air.util.check_ingest (epochs)."""
    parser = argparse.ArgumentParser(prog='check_ingest')
    parser.add_argument('--num-epochs', '-e', type=int, default=1, help='whole passes over the data')
    parser.add_argument('--prefetch-blocks', '-b', type=int, default=1, help='blocks that are made ahead')
    parser.add_argument('--use-stream-api', '-s', action='store_true', help='accepted: data is always streamed')
    parser.add_argument('--rows', type=int, default=rows, help='rows of 200 KiB (50,000)')
    options = parser.parse_args(argv)
    dataset = era.range_tensor(options.rows, shape=(80, 80, 4), parallelism=100)
    preprocessor = era.Chain(era.BatchMapper(lambda df: df * 2), era.BatchMapper(lambda df: df * 2))
    common = {'scaling_config': {'num_workers': 1, 'use_gpu': False}, 'datasets': {'train': dataset},
              'preprocessor': preprocessor, 'prefetch_blocks': options.prefetch_blocks, 'batch_size': None}
    if seed:
        era.SeedDummyTrainer(runtime_seconds=30, **common).fit()
    else:
        era.AirDummyTrainer(num_epochs=options.num_epochs, **common).fit()
    print('Memory stats at end of ingest:')
    print(era.memory_summary(stats_only=True), end='')
    return 0
