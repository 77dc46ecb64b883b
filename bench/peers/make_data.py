# SPDX-License-Identifier: Apache-2.0
"""Makes the files of the read benchmarks. Always the same bytes for the same scale (and pyarrow).

    make_data.py DIR [--scale 1.0] [--only crit emb u8 text small]

    crit_{none,snappy,zstd}.parquet   28 columns: label int8, 13 int32 with 15% nulls, 8 strings of 8 characters,
                                      6 float32; 3,000,000 rows
    emb_{none,zstd}.parquet           list<float32>[512]; 200,000 rows
    u8_list.parquet, u8_fixed.parquet 25,600 bytes a row as list<uint8> and as fixed-length binary; 10,000 rows
    text_{none,snappy,zstd}.parquet   documents of some 2 KB; 60,000 rows
    small.parquet                     list<float32>[64]; 4,096 rows, 1 MiB

Files that exist are kept. A file is written beside its place and renamed.
"""

import argparse
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

PART_ROWS = 500_000  # rows made at once: the memory of this program
STRING_VALUES = [20, 100, 500, 2_000, 10_000, 30_000, 100_000, 200_000]


def crit_part(rng, rows, words):
    columns = {"label": pa.array((rng.random(rows) < 0.25).astype(np.int8))}
    for i in range(13):
        values = rng.exponential(10.0 ** (1 + i % 4), rows).astype(np.int32)
        columns[f"i{i}"] = pa.array(values, mask=rng.random(rows) < 0.15)
    for i, table in enumerate(words):
        codes = np.minimum(rng.zipf(1.3, rows) - 1, len(table) - 1)
        columns[f"s{i}"] = table.take(pa.array(codes))
    for i in range(6):
        columns[f"f{i}"] = pa.array(rng.standard_normal(rows, dtype=np.float32))
    return pa.table(columns)


def crit_words(rng):
    letters = np.frombuffer(b"0123456789abcdef", np.uint8)
    out = []
    for count in STRING_VALUES:
        data = letters[rng.integers(0, 16, count * 8)]
        offsets = np.arange(0, count * 8 + 1, 8, dtype=np.int32)
        out.append(pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(data)))
    return out


def crit(scale):
    rng = np.random.default_rng(1)
    words = crit_words(rng)
    left = int(3_000_000 * scale)
    while left > 0:
        rows = min(left, PART_ROWS)
        yield crit_part(rng, rows, words)
        left -= rows


def lists(values, width):
    offsets = np.arange(0, len(values) + 1, width, dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values))


def emb(scale):
    rng = np.random.default_rng(2)
    for _ in range(max(1, int(20 * scale))):
        yield pa.table({"emb": lists(rng.standard_normal(10_000 * 512, dtype=np.float32), 512)})


def u8_rows(scale):
    rng = np.random.default_rng(3)
    for _ in range(max(1, int(10 * scale))):
        yield rng.integers(0, 256, 1_000 * 25_600, dtype=np.uint8)


def u8_list(scale):
    for values in u8_rows(scale):
        yield pa.table({"u8": lists(values, 25_600)})


def u8_fixed(scale):
    for values in u8_rows(scale):
        buffers = [None, pa.py_buffer(values)]
        yield pa.table({"u8": pa.Array.from_buffers(pa.binary(25_600), 1_000, buffers)})


def text(scale):
    rng = np.random.default_rng(4)
    letters = "etaoinshrdlucmfwypvbgkjqxz"
    weights = 1 / np.arange(1, 27)
    weights /= weights.sum()
    words = ["".join(rng.choice(list(letters), rng.integers(2, 11), p=weights)) for _ in range(20_000)]
    words = np.array(words, dtype=object)
    for _ in range(max(1, int(12 * scale))):
        documents = []
        for count in rng.integers(100, 620, 5_000):
            picks = np.minimum(rng.zipf(1.2, count) - 1, len(words) - 1)
            documents.append(" ".join(words[picks]))
        yield pa.table({"id": pa.array(range(5_000), pa.int64()), "text": documents})


def small(scale):
    rng = np.random.default_rng(5)
    yield pa.table({"x": lists(rng.standard_normal(4_096 * 64, dtype=np.float32), 64)})


FILES = [
    ("crit", "crit_none", crit, "none"),
    ("crit", "crit_snappy", crit, "snappy"),
    ("crit", "crit_zstd", crit, "zstd"),
    ("emb", "emb_none", emb, "none"),
    ("emb", "emb_zstd", emb, "zstd"),
    ("u8", "u8_list", u8_list, "none"),
    ("u8", "u8_fixed", u8_fixed, "none"),
    ("text", "text_none", text, "none"),
    ("text", "text_snappy", text, "snappy"),
    ("text", "text_zstd", text, "zstd"),
    ("small", "small", small, "none"),
]


def write(path, parts, codec, dictionary):
    hidden = path + ".part"
    writer = None
    for part in parts:
        if writer is None:
            writer = pq.ParquetWriter(hidden, part.schema, compression=codec, use_dictionary=dictionary)
        writer.write_table(part)
    writer.close()
    os.rename(hidden, path)
    print(f"{path}: {os.path.getsize(path) / 2**20:.1f} MiB")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--only", nargs="*")
    args = parser.parse_args()
    os.makedirs(args.folder, exist_ok=True)
    for group, name, make, codec in FILES:
        path = os.path.join(args.folder, name + ".parquet")
        if (args.only and group not in args.only) or os.path.exists(path):
            continue
        write(path, make(args.scale), codec, dictionary=group == "crit")


if __name__ == "__main__":
    main()
