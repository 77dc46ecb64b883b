#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the C examples over a table that the first of them makes, and looks at what they print.

    run_examples.py MAKE_TRIPS TRAIN_LOOP READ_SPEED TRAIN_RESUME
"""

import os
import re
import subprocess
import sys
import tempfile
import time

ROWS = 20000


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    if done.returncode:
        sys.exit(f'{" ".join(command)} ended with {done.returncode}\n{done.stdout}{done.stderr}')
    return done.stdout


def killed_and_resumed(program, trips, run_folder):
    """Killed once its third checkpoint stands, then run again: the rows of both, each counted once."""
    job = subprocess.Popen([program, trips, run_folder], stdout=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while not os.path.exists(os.path.join(run_folder, 'checkpoint_000002')):
        assert job.poll() is None and time.monotonic() < until, 'no checkpoint was committed'
        time.sleep(0.005)
    job.kill()
    first = job.communicate()[0].splitlines()
    assert first == ['worker 0 begins at row 0 of epoch 0'], first
    began, done, _ = run(program, trips, run_folder).splitlines()
    row = int(re.fullmatch(r'worker 0 begins at row (\d+) of epoch \d+', began).group(1))
    assert 2560 <= row < 2 * ROWS and (row % 256 == 0 or row > ROWS), began
    return done


def main():
    make_trips, train_loop, read_speed, train_resume = sys.argv[1:]
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

        at_once = run(train_resume, trips, os.path.join(folder, 'run_a')).splitlines()[1]
        assert at_once.startswith(f'worker 0 trained on {2 * ROWS} rows in 2 epochs, fares '), at_once
        assert killed_and_resumed(train_resume, trips, os.path.join(folder, 'run_b')) == at_once
    print('4 examples ran')


if __name__ == '__main__':
    main()
