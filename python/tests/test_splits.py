# SPDX-License-Identifier: Apache-2.0
"""Samples, parts and the global order, against what NumPy says of the same rows."""

import headrace as hr
import numpy as np
import pytest


def ids(ds, **options):
    parts = [b['id'] for b in ds.iter_batches(batch_size=1000, **options)]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


@pytest.fixture
def ds():
    return hr.range(10_000, blocks=7)


def test_a_sample_is_a_part_of_the_rows_and_stays(ds):
    taken = ids(ds.random_sample(0.3, seed=4))
    assert np.all(np.diff(taken) > 0) and abs(len(taken) - 3000) < 5 * np.sqrt(10_000 * 0.21)
    assert np.array_equal(taken, ids(ds.random_sample(0.3, seed=4)))
    assert not np.array_equal(taken, ids(ds.random_sample(0.3, seed=5)))
    even = ids(ds.filter('id % 2 == 0').random_sample(0.3, seed=4))
    assert np.array_equal(even, taken[taken % 2 == 0])  # rows are chosen before they are filtered
    assert len(ids(ds.random_sample(0.0))) == 0 and len(ids(ds.random_sample(1.0))) == 10_000
    with pytest.raises(ValueError, match='0 to 1'):
        ds.random_sample(2)


def test_parts_by_indices_are_those_of_numpy(ds):
    at = [10, 10, 2500, 9999]
    for part, want in zip(ds.split_at_indices(at), np.split(np.arange(10_000), at), strict=True):
        assert np.array_equal(ids(part), want)


def test_parts_by_shares_are_all_rows(ds):
    parts = [ids(p) for p in ds.filter('id % 5 == 0').split_proportionately([0.1, 0.6])]
    assert [len(p) for p in parts] == [200, 1200, 600]
    assert np.array_equal(np.concatenate(parts), np.arange(0, 10_000, 5))
    with pytest.raises(ValueError, match='below 1'):
        ds.split_proportionately([0.5, 0.5])


@pytest.mark.parametrize('size, rows', [(0.25, 2500), (100, 100)])
@pytest.mark.parametrize('shuffle', [False, True])
def test_train_and_test_are_disjoint_and_all(ds, size, rows, shuffle):
    train, test = ds.train_test_split(size, shuffle=shuffle, seed=3)
    a, b = ids(train), ids(test)
    assert len(b) == rows and train.count() == 10_000 - rows
    assert np.array_equal(np.sort(np.concatenate([a, b])), np.arange(10_000))
    assert np.array_equal(np.concatenate([a, b]), np.arange(10_000)) != shuffle
    assert np.array_equal(np.sort(ids(train, shuffle='global', seed=9)), np.sort(a))
    with pytest.raises((ValueError, TypeError)):
        ds.train_test_split(1.5)


def test_a_global_order_is_one_order_in_memory_and_streamed(ds):
    order = ids(ds, shuffle='global', seed=8)
    assert np.array_equal(np.sort(order), np.arange(10_000)) and not np.array_equal(order, np.arange(10_000))
    assert np.array_equal(order, ids(ds.random_shuffle(seed=8)))
    wide = ds.map('a = id; b = id; c = id; d = id; e = id; f = id; g = id')
    assert np.array_equal(order, ids(wide.materialize(), shuffle='global', seed=8))
    assert not np.array_equal(order, ids(ds, shuffle='global', seed=9))
    assert abs(np.corrcoef(order, np.arange(10_000))[0, 1]) < 0.05
