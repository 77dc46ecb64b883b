# SPDX-License-Identifier: Apache-2.0
"""What the peers share: passes, their report, and touching every byte that was read."""

import gc
import json
import statistics
import sys
import time

import numpy as np


def words_sum(view):
    """The sum of the 64-bit words of a buffer, and of the bytes behind the last of them."""
    data = np.frombuffer(view, np.uint8)
    whole = len(data) // 8 * 8
    total = int(np.add.reduce(np.frombuffer(view, np.uint64, whole // 8))) if whole else 0
    return (total + int(data[whole:].sum())) & (2**64 - 1)


def touch_numpy(array):
    array = np.ascontiguousarray(array)
    return words_sum(memoryview(array).cast("B")), array.nbytes


def touch_arrow(array):
    """Every byte that belongs to the rows of an Arrow array: a slice counts its own rows only."""
    import pyarrow as pa

    if isinstance(array, (pa.ChunkedArray, pa.Table)):
        parts = array.chunks if isinstance(array, pa.ChunkedArray) else array.columns
        pairs = [touch_arrow(part) for part in parts]
        return sum(p[0] for p in pairs), sum(p[1] for p in pairs)
    kind, buffers, at, rows = array.type, array.buffers(), array.offset, len(array)
    if pa.types.is_dictionary(kind):
        codes, values = touch_arrow(array.indices), touch_arrow(array.dictionary)
        return codes[0] + values[0], codes[1] + values[1]
    if isinstance(array, pa.ExtensionArray):
        return touch_arrow(array.storage)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return touch_arrow(array.flatten())
    if rows == 0 or pa.types.is_null(kind):
        return 0, 0
    ranges = []
    if buffers[0] is not None:
        ranges.append((buffers[0], at // 8, (at + rows + 7) // 8))
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        ranges.append((buffers[1], 16 * at, 16 * (at + rows)))
        ranges += [(b, 0, b.size) for b in buffers[2:] if b is not None]
    elif len(buffers) == 3:  # offsets and bytes
        width = 8 if pa.types.is_large_string(kind) or pa.types.is_large_binary(kind) else 4
        offsets = np.frombuffer(buffers[1], np.int64 if width == 8 else np.int32, rows + 1, at * width)
        ranges.append((buffers[1], at * width, (at + rows + 1) * width))
        if buffers[2] is not None:
            ranges.append((buffers[2], int(offsets[0]), int(offsets[-1])))
    else:
        ranges.append((buffers[1], at * kind.bit_width // 8, ((at + rows) * kind.bit_width + 7) // 8))
    views = [memoryview(b)[first:end] for b, first, end in ranges]
    return sum(words_sum(v) for v in views), sum(v.nbytes for v in views)


def report(name, one_pass, steady=5, same_sum=True, **more):
    """Runs one_pass() -> (rows, bytes, sum) once and then `steady` times; prints one line of JSON.

    same_sum: the sums of all passes must agree. Not asked of columns with nulls: what lies there is anything.
    """
    seconds, results = [], []
    for _ in range(steady + 1):
        gc.collect()
        begin = time.perf_counter()
        results.append(one_pass())
        seconds.append(time.perf_counter() - begin)
    if len({(r[0], r[2] if same_sum else 0) for r in results}) != 1:
        sys.exit(f"{name}: passes differ: {results}")
    rest = seconds[1:]
    line = {
        "name": name,
        **more,
        "first_s": round(seconds[0], 6),
        "passes": steady,
        "min_s": round(min(rest), 6),
        "median_s": round(statistics.median(rest), 6),
        "max_s": round(max(rest), 6),
        "rows": results[0][0],
        "mib": round(results[0][1] / 2**20, 1),
        "sum": f"{results[0][2] & (2**64 - 1):016x}",
    }
    print(json.dumps(line), flush=True)
