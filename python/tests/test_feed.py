# SPDX-License-Identifier: Apache-2.0
"""Feeds in the hands of people: kept batches, half-read generators, forks, Ctrl-C."""

import gc
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import headrace as hr


def test_keeping_every_batch_works():
    ds = hr.range_tensor(4000, shape=(64, 64), blocks=40)  # 131 MB of a budget of 256
    kept = list(ds.feed(batch_size=100))
    assert len(kept) == 40
    for n, batch in enumerate(kept):
        a = np.asarray(batch['data'])
        assert a[0, 0, 0] == n * 100 and a[-1, -1, -1] == n * 100 + 99
    del kept, batch, a
    gc.collect()
    assert hr.range(10).count() == 10


def test_slices_keep_their_memory():
    slices = []
    for batch in hr.range_tensor(1000, shape=(100,), blocks=10).iter_batches(batch_size=50):
        slices.append(batch['data'][3, :4])
        del batch
    gc.collect()
    assert [s[0] for s in slices] == list(range(3, 1000, 50))


def test_a_generator_left_half_read_gives_everything_back():
    for _ in range(5):
        batches = hr.range_tensor(2000, shape=(64, 64), blocks=20).iter_batches(batch_size=64)
        next(batches), next(batches)
        del batches
    gc.collect()
    deadline = time.monotonic() + 60
    while hr.runtime().memory()['leased_bytes'] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert hr.runtime().memory()['leased_bytes'] == 0
    assert hr.range(100).count() == 100


def test_arrays_are_read_only_and_tensors_private():
    batch = next(iter(hr.range_tensor(8, shape=(4,)).feed(batch_size=8)))
    a = np.asarray(batch['data'])
    with pytest.raises(ValueError):
        a[0] = 1
    w = np.asarray(batch['data'].tensor(writable=True))
    w[:] = -1
    assert (np.asarray(hr.range_tensor(8, shape=(4,)).take_batch(8)['data'])[1] == 1).all()


def test_epochs_positions_and_stats():
    with hr.range(100, blocks=4).feed(batch_size=30, epochs=2, shuffle='blocks', seed=5) as feed:
        first = [b['id'].values() for b in feed]
        assert feed.position()['epoch'] == 1 and feed.position()['step'] == 0  # the epoch's end was seen
        assert feed.next_epoch()
        second = [b['id'].values() for b in feed]
        assert not feed.next_epoch()
        assert sorted(sum(first, [])) == sorted(sum(second, [])) == list(range(100))
        stats = feed.stats()
        assert stats['batches'] == len(first) + len(second) and stats['rows'] == 200


def test_checksums_do_not_depend_on_threads(script):
    text = '''
import sys, headrace as hr
hr.init(memory_bytes=256 << 20, threads=int(sys.argv[1]))
total = 0
for batch in hr.range_tensor(2000, shape=(10, 10), blocks=37).map('data = data * 2').feed(batch_size=77, shuffle='window', seed=9):
    total += batch.checksum()
print(total % 2**64)
'''
    sums = {script(text, threads).stdout for threads in (1, 2, 8)}
    assert len(sums) == 1 and sums.pop().strip()


def test_a_fork_in_the_loop_neither_hangs_nor_crashes(script):
    done = script('''
import os, headrace as hr
feed = iter(hr.range(1000, blocks=10).iter_batches(batch_size=10))
next(feed)
pid = os.fork()
if pid == 0:
    try:
        hr.range(3).count()   # a runtime of its own
        next(feed)
    except Exception as e:
        os._exit(7 if 'fork' in str(e) or 'process' in str(e) else 8)
    os._exit(9)
_, status = os.waitpid(pid, 0)
print(os.WEXITSTATUS(status), sum(len(b['id']) for b in feed))
''', timeout=60)
    assert done.stdout.split() == ['7', '990'], done.stdout + done.stderr


@pytest.mark.parametrize('wait', ['next(iter(ds.iter_batches()))', 'ds.count()', 'ds.materialize()', 'ds.take(5)'])
def test_ctrl_c_at_any_time(tmp_path, wait):
    pytest.importorskip('cloudpickle')
    path = tmp_path / 'wait.py'
    path.write_text(f'''
import headrace as hr, sys, time
def sleep(batch):
    import time
    time.sleep(1000)
hr.init(memory_bytes=128 << 20)
ds = hr.range(1000, blocks=5)._handle
from headrace import _function
ds = hr.Dataset(ds.map_process(_function.worker_argv(), _function.function_payload(sleep, 'numpy'), schema=ds.schema()))
print('ready', flush=True)
try:
    {wait}
except KeyboardInterrupt:
    print('interrupted', hr.range(10).count(), flush=True)
''')
    env = {**os.environ, 'PYTHONPATH': os.path.dirname(os.path.dirname(hr.__file__))}
    child = subprocess.Popen([sys.executable, str(path)], stdout=subprocess.PIPE, text=True, env=env)
    try:
        assert child.stdout.readline() == 'ready\n'
        time.sleep(1.0)
        child.send_signal(signal.SIGINT)
        out, _ = child.communicate(timeout=120)
        assert out == 'interrupted 10\n'
        assert child.returncode == 0
    finally:
        child.kill()
