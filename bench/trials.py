# SPDX-License-Identifier: Apache-2.0
"""What a trial with heavy expressions costs another one that only reads, with and without ingest threads reserved.

    python bench/trials.py [--threads 2]

A line of JSON each: the light trial's seconds alone, beside the heavy one, and beside it with ingest_threads=1 for both.
"""

import argparse
import json
import tempfile
import time

import headrace as hr
from headrace import tune
from headrace.train import DataParallelTrainer, DatasetConfig, RunConfig, ScalingConfig, get_dataset_shard, report

LIGHT_ROWS, HEAVY_ROWS = 16_000_000, 2_400_000
CHAIN = '; '.join(['x = sin(x) * cos(x) + exp(0 - x * x) + log1p(x * x)'] * 12)


def loop(config):
    began = time.perf_counter()
    rows = sum(len(b['x']) for b in get_dataset_shard('train').iter_batches(batch_size=65536))
    report(rows=rows, seconds=time.perf_counter() - began)


def seconds(datasets, ingest_threads):
    trainer = DataParallelTrainer(loop, scaling_config=ScalingConfig(ingest_threads=ingest_threads),
                                  dataset_config={'train': DatasetConfig(use_stream_api=True)})
    with tempfile.TemporaryDirectory() as folder:
        grid = tune.Tuner(trainer, param_space={'datasets': {'train': tune.grid_search(datasets)}},
                          run_config=RunConfig(storage_path=folder, verbose=0)).fit()
    return [round(r.metrics['seconds'], 3) for r in grid]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--threads', type=int, default=2)
    hr.init(threads=parser.parse_args().threads, num_cpus=2)
    light = hr.range(LIGHT_ROWS, blocks=64).map('x = id * 1.5')
    heavy = hr.range(HEAVY_ROWS, blocks=24).map('x = id * 1e-6').map(CHAIN)
    for case, datasets, reserved in (('alone', [light], 0), ('beside', [light, heavy], 0), ('beside, reserved', [light, heavy], 1)):
        times = [seconds(datasets, reserved) for _ in range(3)]
        print(json.dumps({'case': case, 'light_s': sorted(t[0] for t in times), 'heavy_s': sorted(t[-1] for t in times)}))


if __name__ == '__main__':
    main()
