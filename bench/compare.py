# SPDX-License-Identifier: Apache-2.0
"""Ours, the limits and the peers one after another in one run, and the ratios that are promised.

    compare.py DATA [--build build] [--ours-python PY] [--only seed,emb,u8,snappy,zstd,numeric,start,spill] [--passes 5]

DATA holds the files of peers/make_data.py. Run it with a Python that has the peers; --ours-python is the one that has headrace.
Each cell is a process of its own; its first pass is left out; ratios are of medians. Prints a table, then a line of JSON.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
PEERS = ["pyarrow_iter", "pyarrow_table", "pyarrow_dataset", "polars", "duckdb", "daft"]


def last_json(command, **more):
    """The last line of what the command prints, as JSON; None when it failed (and says so)."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **more)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        print(f"  failed ({done.returncode}): {' '.join(map(str, command))}: {done.stderr.strip()[-300:]}", flush=True)
        return None
    return json.loads(lines[-1])


def ours(args, source, *flags):
    """Median seconds of a pass, every byte summed by one consumer; two threads decode."""
    result = last_json([args.build / "bench/stream_touch", source, "--threads", 2, "--passes", args.passes, *flags])
    return result and result["median_s"]


def limit(args, name, *words):
    result = last_json([args.build / "bench" / name, "--threads", 2, "--passes", args.passes, *words])
    return result and result["median_s"]


def peers(args, path, *flags, names=PEERS):
    found = {}
    for name in names:
        result = last_json([sys.executable, HERE / "peers/read_parquet.py", name, path, "--passes", args.passes, *flags])
        if result:
            found[name] = result["median_s"]
            print(f"    {name:16} {result['median_s']:.4f} s", flush=True)
    return found


def row(name, mine, other, other_name, wanted, table):
    if not mine or not other:
        return
    ratio = other / mine
    table.append({"workload": name, "ours_s": mine, "against": other_name, "other_s": other, "ratio": ratio, "wanted": wanted})
    print(f"{name:34} {mine:9.4f} s   {other_name:20} {other:9.4f} s   {ratio:6.2f} (wanted {wanted})", flush=True)


def against_best(args, name, path, mine, wanted, table, *flags, **more):
    found = peers(args, path, *flags, **more)
    if mine and found:
        best = min(found, key=found.get)
        row(name, mine, found[best], f"best: {best}", wanted, table)


def seed(args, table):
    maps = ["--map", "data = data * 2", "--map", "data = data * 2"]
    source = "range_tensor:20000x80x80x4,blocks=40"
    mine = ours(args, source, *maps)
    row("seed job, streamed, touched", mine, limit(args, "limit_seed"), "limit_seed", 0.7, table)
    ray = last_json([sys.executable, HERE / "peers/ray_seed.py", "--passes", args.passes])
    row("seed job, streamed, touched", mine, ray and ray["median_s"], "Ray streaming", 8, table)


def emb(args, table):
    path = args.data / "emb_none.parquet"
    mine = ours(args, path, "--batch-rows", 256)
    against_best(args, "list<float>[512] to [256, 512]", path, mine, 6, table, "--shape", "tensor", "--batch-rows", 256,
                 names=["pyarrow_iter", "pyarrow_table", "duckdb", "daft"])


def u8(args, table):
    path = args.data / "u8_list.parquet"
    mine = ours(args, path, "--batch-rows", 256)
    against_best(args, "list<uint8>[25600] to [256, 25600]", path, mine, 10, table, "--shape", "tensor", "--batch-rows", 256,
                 names=["pyarrow_iter", "pyarrow_table", "duckdb", "daft"])


def tabular(codec):
    def run(args, table):
        path = args.data / f"crit_{codec}.parquet"
        mine = ours(args, path, "--batch-rows", 4096)
        against_best(args, f"28 columns, {codec}, batches of 4,096", path, mine, 2, table, "--batch-rows", 4096,
                     names=["pyarrow_table", "pyarrow_dataset", "polars", "duckdb", "daft"])
    return run


NUMERIC = """
import json, statistics, sys, time
import headrace, numpy as np
names = ["label"] + [f"i{i}" for i in range(13)] + [f"f{i}" for i in range(6)]
seconds = []
for _ in range(int(sys.argv[2]) + 1):
    begin, total = time.perf_counter(), 0
    for batch in headrace.read_parquet(sys.argv[1], columns=names).iter_batches(batch_size=4096, tensor=names, nulls="nan"):
        total += int(np.asarray(batch).view(np.uint64).sum(dtype=np.uint64)) if hasattr(batch, "__array__") else int(
            np.asarray(batch["tensor"]).view(np.uint64).sum(dtype=np.uint64))
    seconds.append(time.perf_counter() - begin)
print(json.dumps({"median_s": statistics.median(seconds[1:])}))
"""


def numeric(args, table):
    path = args.data / "crit_snappy.parquet"
    mine = last_json([args.ours_python, "-c", NUMERIC, path, args.passes])
    names = ",".join(["label"] + [f"i{i}" for i in range(13)] + [f"f{i}" for i in range(6)])
    against_best(args, "20 numbers as [4096, 20] float32", path, mine and mine["median_s"], 4, table, "--batch-rows", 4096,
                 "--columns", names, names=["polars"])


def start(args, table):
    path = args.data / "small.parquet"
    seconds = []
    for _ in range(args.passes):
        result = last_json([args.build / "headrace", "check", path, "--batch-rows", 256, "--json"])
        seconds.append(result["first_batch_s"])
    row("first batch of 1 MiB, from start", statistics.median(seconds), 0.020, "20 ms", 1, table)


def spill(args, table):
    source = "range_tensor:20000x80x80x4,blocks=40"
    with tempfile.TemporaryDirectory(dir=args.spill) as folder:
        raw = last_json([args.build / "bench/raw_write", folder, "--passes", 3])
        mine = last_json([args.build / "headrace", "check", source, "--map", "data = data * 2", "--map", "data = data * 2",
                          "--whole-blocks", "--bulk", "--memory", "1GiB", "--spill", folder, "--json"])
    if raw and mine and mine.get("spill_write_s"):
        gib = mine["spilled_bytes"] / 2**30
        row("spill, s a GiB", mine["spill_write_s"] / gib, raw["median_s"] / (raw["mib"] / 1024), "raw_write", 0.8, table)
        print(f"  peak {mine['peak_rss_bytes'] / 2**20:.0f} MiB of 1,024 + 64", flush=True)


WORKLOADS = {"seed": seed, "emb": emb, "u8": u8, "snappy": tabular("snappy"), "zstd": tabular("zstd"), "numeric": numeric,
             "start": start, "spill": spill}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--build", type=Path, default=Path("build"))
    parser.add_argument("--ours-python", default=".venv/bin/python")
    parser.add_argument("--spill", type=Path, default=Path("/var/tmp"))
    parser.add_argument("--only", default=",".join(WORKLOADS))
    parser.add_argument("--passes", type=int, default=5)
    args = parser.parse_args()
    table = []
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}", flush=True)
    for name in args.only.split(","):
        WORKLOADS[name](args, table)
    print(json.dumps(table))


if __name__ == "__main__":
    main()
