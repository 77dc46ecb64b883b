# SPDX-License-Identifier: Apache-2.0
"""Passes over a shard whose options change from one to the next, in budgets where two streams hardly fit."""

import json

import pytest

pytest.importorskip('cloudpickle')

BEGIN = '''
import json, sys, time
import headrace as hr
from headrace import train
from headrace.train import ScalingConfig, Trainer
'''


def told(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_another_seed_in_each_epoch_collects_no_streams(script):
    done = script(BEGIN + '''
def loop():
    shard, rows, total = train.get_dataset_shard('train'), 0, 0
    for epoch in range(40):
        for batch in shard.iter_batches(batch_size=256, shuffle='window', seed=epoch):  # a batch is held when it ends
            rows += len(batch['id'])
            total += int(batch['id'].sum())
    train.report(rows=rows, total=total)
r = Trainer(loop, scaling_config=ScalingConfig(num_workers=2), datasets={'train': hr.range(100_000, blocks=20)}).fit()
print(json.dumps([[w['rows'] for w in r.workers], r.metrics]))
''', HEADRACE_MEMORY='32MiB')
    assert told(done)[0] == [2_000_000] * 2


def test_options_that_come_again_go_on_at_their_next_epoch(script):
    done = script(BEGIN + '''
def loop():
    shard, epochs, orders = train.get_dataset_shard('train'), [], []
    for turn in range(4):
        for seed in (1, 2):
            it = shard.iter_batches(batch_size=100, shuffle='window', seed=seed)
            epochs.append(it.state_dict()['epoch'])
            orders.append([i for batch in it for i in batch['id'].tolist()])
            if turn == 2 and seed == 1:
                for batch in shard.iter_batches(batch_size=100, seed=3):
                    break  # left in the middle
    train.report(epochs=epochs, rows=[len(set(o)) for o in orders], orders=len({tuple(o) for o in orders}),
                 stands=shard.epoch)
r = Trainer(loop, datasets={'train': hr.range(5_000, blocks=10)}).fit()
print(json.dumps(r.metrics))
''')
    metrics = told(done)
    assert metrics == {'epochs': [0, 0, 1, 1, 2, 2, 3, 3], 'rows': [5_000] * 8, 'orders': 8, 'stands': 4}


def test_who_is_ahead_waits_for_room_that_others_have(script):
    done = script(BEGIN + '''
def loop():
    shard, rows = train.get_dataset_shard('train'), []
    for epoch in range(4):
        n = 0
        for batch in shard.iter_batches(batch_size=500, shuffle='window', seed=epoch):
            n += len(batch['id'])
            if train.world_rank() == 1:
                time.sleep(0.005)
        rows.append(n)
    train.report(rows=rows)
wide = hr.range(40_000, blocks=8).map('; '.join(f'x{i} = id * {i}' for i in range(80)))
r = Trainer(loop, scaling_config=ScalingConfig(num_workers=2), datasets={'train': wide}).fit()
print(json.dumps([r.metrics['rows'], [[w['end'], w['rows']] for w in r.workers]]))
''', HEADRACE_MEMORY='64MiB')
    assert told(done) == [[20_000] * 4, [['done', 80_000]] * 2]


def test_epochs_of_a_pipeline_with_other_options_each(script):
    done = script(BEGIN + '''
rows = []
for n, epoch in zip(range(40), hr.range(100_000, blocks=20).repeat(40).iter_epochs()):
    rows.append(sum(len(b['id']) for b in epoch.iter_batches(batch_size=256, shuffle='window', seed=n)))
print(json.dumps(rows))
''', HEADRACE_MEMORY='32MiB')
    assert told(done) == [100_000] * 40
