# SPDX-License-Identifier: Apache-2.0
"""A peer reads a Parquet file in batches and touches every byte of them. One peer, one process.

    read_parquet.py PEER FILE [--batch-rows 4096] [--columns a,b] [--shape tabular|tensor|strings] [--passes 5]

    PEER     pyarrow_iter  pyarrow_table  pyarrow_dataset  polars  duckdb  daft
    tabular  Arrow columns, as they come
    tensor   each list or fixed-length binary column as one contiguous array of [rows, values]
    strings  as tabular, and each string becomes a Python string
"""

import argparse

import numpy as np
import pyarrow as pa
from peer_passes import report, touch_arrow, touch_numpy


def slices(table, rows):
    for first in range(0, table.num_rows, rows):
        yield table.slice(first, rows)


def rebatch(batches, rows):
    """Batches of exactly `rows` rows (the last may be shorter) from batches of any size."""
    held, count = [], 0
    for batch in batches:
        while count + batch.num_rows >= rows:
            part = batch.slice(0, rows - count)
            yield pa.Table.from_batches(held + [part])
            batch, held, count = batch.slice(rows - count), [], 0
        if batch.num_rows:
            held.append(batch)
            count += batch.num_rows
    if held:
        yield pa.Table.from_batches(held)


def pyarrow_iter(path, rows, columns):
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(rows, columns=columns):
            yield pa.Table.from_batches([batch])


def pyarrow_table(path, rows, columns):
    import pyarrow.parquet as pq

    return slices(pq.read_table(path, columns=columns), rows)


def pyarrow_dataset(path, rows, columns):
    import pyarrow.dataset as ds

    return rebatch(ds.dataset(path).to_batches(columns=columns, batch_size=rows), rows)


def polars(path, rows, columns):
    import polars as pl

    frame = pl.scan_parquet(path)
    frame = frame.select(columns) if columns else frame
    for part in frame.collect_batches(chunk_size=rows, maintain_order=True):
        yield from slices(part.to_arrow(), rows)


def duckdb(path, rows, columns):
    import duckdb as db

    names = ", ".join(f'"{c}"' for c in columns) if columns else "*"
    with db.connect() as connection:
        relation = connection.sql(f"select {names} from read_parquet(?)", params=[path])
        yield from rebatch(relation.to_arrow_reader(rows), rows)


def daft(path, rows, columns):
    import daft as df

    frame = df.read_parquet(path)
    frame = frame.select(*columns) if columns else frame
    return rebatch(frame.to_arrow_iter(), rows)


PEERS = {f.__name__: f for f in (pyarrow_iter, pyarrow_table, pyarrow_dataset, polars, duckdb, daft)}


def tensor(column):
    """[rows, values], contiguous: the child's memory where a batch lies in one chunk."""
    column = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    kind = column.type
    if pa.types.is_fixed_size_binary(kind):
        data = np.frombuffer(column.buffers()[1], np.uint8)
        first = column.offset * kind.byte_width
        return data[first : first + len(column) * kind.byte_width].reshape(len(column), -1)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return np.frombuffer(b"".join(column.to_pylist()), np.uint8).reshape(len(column), -1)
    return column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1)


def strings(column):
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return sum(map(len, column.to_pylist()))
    return 0


def one_pass(read, path, rows, columns, shape):
    total, size, count = 0, 0, 0
    for batch in read(path, rows, columns):
        count += batch.num_rows
        for column in batch.columns:
            part = touch_numpy(tensor(column)) if shape == "tensor" else touch_arrow(column)
            total, size = total + part[0], size + part[1]
            if shape == "strings":
                strings(column)
    return count, size, total


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("file")
    parser.add_argument("--batch-rows", type=int, default=4096)
    parser.add_argument("--columns", type=lambda text: text.split(","))
    parser.add_argument("--shape", choices=["tabular", "tensor", "strings"], default="tabular")
    parser.add_argument("--passes", type=int, default=5)
    a = parser.parse_args()
    report(
        a.peer,
        lambda: one_pass(PEERS[a.peer], a.file, a.batch_rows, a.columns, a.shape),
        a.passes,
        same_sum=a.shape == "tensor",
        file=a.file.rsplit("/", 1)[-1],
        shape=a.shape,
        batch_rows=a.batch_rows,
    )


if __name__ == "__main__":
    main()
