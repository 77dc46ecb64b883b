# SPDX-License-Identifier: Apache-2.0
"""What feeding a trainer costs: hand-over of a batch that is ready, the border of epochs, resuming, a torch loop; and window
and unshuffled passes side by side.

    feeding.py CLI DATA [--only handover,resume,torch,window,soak] [--rows 3000000]

CLI is the program headrace, DATA a folder of peers/make_data.py (crit_zstd.parquet). Run it with a Python that has headrace (and
torch for `torch`). Prints lines and one of JSON; wanted figures stand beside them.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import headrace
from headrace import train
from headrace.train import ScalingConfig, TorchTrainer, Trainer


def quantiles(seconds):
    ordered = sorted(seconds)
    return {'p50_us': 1e6 * ordered[len(ordered) // 2], 'p99_us': 1e6 * ordered[int(len(ordered) * 0.99)]}


def read_ready(config):
    """Takes batches that are surely there: it sleeps a while before each."""
    shard, waits, borders = train.get_dataset_shard('train'), [], []
    stamp = None
    for epoch in range(config['epochs']):
        batches = iter(shard.iter_batches(batch_size=1024, batch_format=None, epochs=config['epochs']))
        while True:
            time.sleep(0.002)
            began = time.perf_counter()
            batch = next(batches, None)
            took = time.perf_counter() - began
            if batch is None:
                stamp = time.perf_counter()
                break
            if stamp is not None:
                borders.append(time.perf_counter() - stamp - 0.002)
                stamp = None
            else:
                waits.append(took)
            del batch
    train.report({**quantiles(waits), 'border_max_ms': 1e3 * max(borders)})


def handover(args):
    rows = headrace.range_tensor(400_000, shape=(64,), blocks=100)
    result = Trainer(read_ready, train_loop_config={'epochs': 4}, scaling_config=ScalingConfig(num_workers=1),
                     datasets={'train': rows}).fit()
    told = {k: result.metrics[k] for k in ('p50_us', 'p99_us', 'border_max_ms')}
    print(f"hand-over of a ready batch: median {told['p50_us']:.1f} us (wanted 50), p99 {told['p99_us']:.0f} us (500); "
          f"border of epochs at most {told['border_max_ms']:.2f} ms (5)", flush=True)
    return told


WINDOW_ROWS = 16_384


def resume(args):
    """The first batch from the middle of an epoch. Wanted: within what the first batch of an epoch takes and the time of one
    window, which is what 16,384 rows take in the middle of an epoch when nobody waits for anything but the stream.
    """
    data, told = headrace.read_parquet(args.data / 'crit_zstd.parquet'), {}
    for shuffle in ('window', 'none', 'blocks'):
        options = dict(batch_size=4096, batch_format=None, seed=3, **({} if shuffle == 'none' else {'shuffle': shuffle}))

        def first(state=None):
            began = time.perf_counter()
            batches = data.iter_batches(**options)
            if state:
                batches.load_state_dict(state)
            next(batches)
            took = time.perf_counter() - began
            batches.close()
            return 1e3 * took

        batches = data.iter_batches(**options)
        for n in range(366):
            next(batches)
            if n == 65:
                began = time.perf_counter()
        window = 1e3 * (time.perf_counter() - began) / 300 / 4096 * WINDOW_ROWS
        state = batches.state_dict()
        batches.close()
        laps = [(first(), first(state)) for _ in range(9)]
        start, resumed = (statistics.median(lap) for lap in zip(*laps))
        told[shuffle] = {'window_ms': window, 'start_ms': start, 'resume_ms': resumed}
        print(f'{shuffle}: first batch of the epoch {start:.0f} ms, from its middle {resumed:.0f} ms (wanted {start + window:.0f}: '
              f'a window takes {window:.1f} ms)', flush=True)
    return told


def read_torch(config):
    shard, batches = train.get_dataset_shard('train'), 0
    made = shard.iter_torch_batches(batch_size=1024, epochs=1)  # opened, as the check's clock begins with its feed open
    began, ran = time.perf_counter(), time.thread_time()
    for batch in made:
        batches += 1
    train.report({'seconds': time.perf_counter() - began, 'cpu_us': 1e6 * (time.thread_time() - ran) / batches, 'batches': batches})


def check(args, source):
    done = subprocess.run([args.cli, 'check', source, '--batch-rows', '1024', '--workers', '2', '--json'],
                          capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def torch_pass(path):
    return TorchTrainer(read_torch, scaling_config=ScalingConfig(num_workers=2),
                        datasets={'train': headrace.read_parquet(path)}).fit().metrics


def torch(args):
    """One epoch of eight files four times, since a second epoch would come from memory; in turn, the first pair apart."""
    told = {}
    with tempfile.TemporaryDirectory() as folder:
        names = [f'x{i}' for i in range(64)]
        floats = headrace.range(args.rows // 2, blocks=8).map({n: headrace.col('id') * (1.0 + i) for i, n in enumerate(names)})
        handle = floats._handle.pack(names, 'x')  # 64 float32 a row
        packed = floats._with(handle).select_columns(['x'])
        for codec in ('none', 'zstd'):
            path = Path(folder, codec)
            path.mkdir()
            packed.write_parquet(str(path / 'once'), codec=codec, row_group_rows=50_000)
            links = path / 'often'
            links.mkdir()
            for file in (path / 'once').iterdir():
                for i in range(4):
                    (links / f'{i}_{file.name}').symlink_to(file)
            laps = [(torch_pass(str(links)), max(check(args, str(links))['epoch_s'])) for _ in range(6)][1:]
            mine, plain = statistics.median(m['seconds'] for m, _ in laps), statistics.median(c for _, c in laps)
            told[codec] = {'torch_s': mine, 'check_s': plain, 'more_us': 1e6 * (mine - plain) / laps[0][0]['batches'],
                           'ratio': mine / plain, 'cpu_us': statistics.median(m['cpu_us'] for m, _ in laps)}
            print(f"torch loop, 2 workers, 1,024 x 64 floats, {codec}: {mine:.3f} s, check {plain:.3f} s an epoch: "
                  f"{told[codec]['more_us']:+.1f} us a batch (wanted 10), {mine / plain:.2f} of it (1.10 from zstd); "
                  f"the loop's thread ran {told[codec]['cpu_us']:.1f} us a batch, waits and wake-ups included", flush=True)
    return told


def epoch_s(args, source, shuffle):
    done = subprocess.run([args.cli, 'check', source, '--batch-rows', '4096', '--threads', '2', '--shuffle', shuffle, '--seed', '5', '--touch', '--json'],
                          capture_output=True, text=True, check=True)
    return json.loads(done.stdout)['epoch_s'][0]


def window(args):
    """28 columns of zstd Parquet, each byte touched, in order and window shuffled in turn. The file six times as one epoch: a
    second epoch would come from memory, where there is nothing to compare with."""
    laps = {'none': [], 'window': []}
    with tempfile.TemporaryDirectory() as folder:
        for i in range(6):
            os.symlink((args.data / 'crit_zstd.parquet').resolve(), os.path.join(folder, f'{i}.parquet'))
        for _ in range(5):
            for shuffle, seconds in laps.items():
                seconds.append(epoch_s(args, os.path.join(folder, '*.parquet'), shuffle))
    told = {shuffle: statistics.median(seconds) for shuffle, seconds in laps.items()}
    told['ratio'] = statistics.median(w / n for n, w in zip(laps['none'], laps['window']))
    print(f"zstd Parquet, 28 columns: {told['none']:.3f} s an epoch, window shuffled {told['window']:.3f} s: {told['ratio']:.2f} (wanted 1.3)",
          flush=True)
    return told


def anonymous_mib():
    with open('/proc/self/status') as status:
        return int(next(line for line in status if line.startswith('RssAnon')).split()[1]) / 1024


def read_on(config):
    import torch  # noqa: F401  what the worker weighs after its imports
    shard, sizes = train.get_dataset_shard('train'), [anonymous_mib()]
    for epoch in range(config['epochs']):
        for batch in shard.iter_torch_batches(batch_size=1024, shuffle='window', seed=1, epochs=config['epochs']):
            pass
        sizes.append(anonymous_mib())
        train.report(epoch=epoch)
    train.report({'imports': sizes[0], 'most': max(sizes), 'tenth': sizes[10], 'last': sizes[-1]})


def soak(args):
    """200 epochs of two workers: what a worker weighs beyond its imports."""
    data = headrace.read_parquet(args.data / 'small.parquet')
    before = anonymous_mib()
    result = TorchTrainer(read_on, train_loop_config={'epochs': 200}, scaling_config=ScalingConfig(num_workers=2),
                          datasets={'train': data}).fit()
    told = {**{k: result.metrics[k] for k in ('imports', 'most', 'tenth', 'last')}, 'driver': anonymous_mib() - before}
    print(f"200 epochs: a worker {told['imports']:.0f} MiB after imports, {told['tenth']:.0f} after ten epochs, {told['last']:.0f} at the end, "
          f"at most {told['most'] - told['imports']:.0f} more (wanted 64); the driver {told['driver']:.0f} more", flush=True)
    return told


WORKLOADS = {'handover': handover, 'resume': resume, 'torch': torch, 'window': window, 'soak': soak}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('cli')
    parser.add_argument('data', type=Path)
    parser.add_argument('--only', default=','.join(WORKLOADS))
    parser.add_argument('--rows', type=int, default=3_000_000)
    args = parser.parse_args()
    print(json.dumps({name: WORKLOADS[name](args) for name in args.only.split(',')}))


if __name__ == '__main__':
    main()
