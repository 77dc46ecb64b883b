#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the C examples over a table that the first of them makes, and looks at what they print.

    run_examples.py MAKE_TRIPS TRAIN_LOOP READ_SPEED
"""

import os
import re
import subprocess
import sys
import tempfile

ROWS = 20000


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    if done.returncode:
        sys.exit(f'{" ".join(command)} ended with {done.returncode}\n{done.stdout}{done.stderr}')
    return done.stdout


def main():
    make_trips, train_loop, read_speed = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        trips = os.path.join(folder, 'trips')
        assert run(make_trips, trips, str(ROWS)).startswith(f'{ROWS} rows in ')

        lines = run(train_loop, trips).splitlines()
        batches = [re.fullmatch(r'(\d+) rows, first (-?[\d.e-]+)', line) for line in lines]
        assert all(batches), lines
        assert sum(int(b.group(1)) for b in batches) == ROWS, lines
        # Scaled: no value is more than two standard deviations of a uniform distribution from the mean.
        firsts = {float(b.group(2)) for b in batches}
        assert len(firsts) > 1 and all(abs(f) < 2 for f in firsts), lines

        lines = run(read_speed, trips, '1000').splitlines()
        assert lines[0].startswith(f'{ROWS} rows, '), lines
        assert lines[0] == lines[1], lines  # both epochs the same
        assert lines[2].startswith(f'{2 * ROWS // 1000} batches; '), lines
    print('3 examples ran')


if __name__ == '__main__':
    main()
