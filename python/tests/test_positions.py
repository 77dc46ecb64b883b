# SPDX-License-Identifier: Apache-2.0
"""Positions in Python: state_dict and load_state_dict of feeds, of iterators and of shards; steps, tails and lanes."""

import json
import time

import numpy as np
import pytest

import headrace as hr


def ids(batches):
    return [int(i) for batch in batches for i in batch['id']]


def table():
    return hr.range(1000, blocks=11).map('x = id * 0.5').filter('id % 7 != 3')


ORDER = {'batch_size': 30, 'shuffle': 'window', 'window_rows': 200, 'order_lanes': 4, 'seed': 5}


def test_an_iterator_goes_on_from_its_state():
    whole = ids(table().iter_batches(**ORDER))
    for taken in (0, 1, 7, 28):
        first = table().iter_batches(**ORDER)
        head = ids(next(first) for _ in range(taken))
        state = json.loads(json.dumps(first.state_dict()))
        assert len(json.dumps(state)) < 512
        first.close()
        second = table().iter_batches(prefetch_batches=1, **ORDER)
        second.load_state_dict(state)
        assert second.state_dict() == state
        assert head + ids(second) == whole


def test_nothing_is_read_before_the_first_batch_is_asked_for():
    def started(ds):
        return json.loads(ds.stats(json=True))['stages'][0]['started']

    for begin in (lambda ds: ds.iter_batches(**ORDER), lambda ds: ds.repeat(2).iter_batches(**ORDER)):
        ds = table()
        batches = begin(ds)
        time.sleep(0.02)
        state = batches.state_dict()
        assert (state['epoch'], state['row']) == (0, 0) and not started(ds)
        batches.load_state_dict({**state, 'epoch': 0})
        assert not started(ds) and next(batches)['id'].size == 30 and started(ds)


def test_what_is_wrong_is_told_at_once():
    for wrong in ({'batch_size': -1}, {'window_rows': -1}, {'tensor': ['none']}, {'global_batch_size': 10, 'tail': 'none'}):
        with pytest.raises((ValueError, hr.InvalidError, hr.NotFoundError)):
            table().iter_batches(**{**ORDER, **wrong})


def test_a_state_counts_what_was_delivered_and_not_what_was_made_ahead():
    batches = table().iter_batches(**ORDER)
    next(batches)
    assert batches.state_dict()['step'] == 1 and batches.state_dict()['row'] == 30
    batches.close()
    assert batches.state_dict()['step'] == 1  # as it was


def test_a_loop_over_epochs_goes_on():
    """As torchdata's loaders are used: a state is saved every few steps, the loop restarts from the last one."""
    def loop(state, stop_after, seen):
        steps = 0
        with table().feed(epochs=3, **ORDER) as feed:
            if state is not None:
                feed.load_state_dict(state)
            while True:
                for batch in feed:
                    seen += batch['id'].values()
                    steps += 1
                    if steps == stop_after:
                        return feed.state_dict()
                if not feed.next_epoch():
                    return None

    whole = []
    assert loop(None, -1, whole) is None
    seen, state, lives = [], None, 0
    while True:
        state = loop(state, 11, seen)
        lives += 1
        if state is None:
            break
    assert seen == whole and lives == 8


def test_a_state_behind_the_last_epoch_gives_nothing_more():
    with table().feed(epochs=1, **ORDER) as feed:
        list(feed)
        state = feed.state_dict()
        assert state['epoch'] == 1
        feed.load_state_dict(state)
        assert list(feed) == [] and not feed.next_epoch() and feed.state_dict() == state
        feed.load_state_dict({**state, 'epoch': 0})
        assert len(list(feed)) > 0


def test_states_of_something_else_are_refused():
    batches = table().iter_batches(**ORDER)
    next(batches)
    state = batches.state_dict()
    other = hr.range(1000, blocks=11).iter_batches(**ORDER)
    with pytest.raises(hr.InvalidError, match='other data'):
        other.load_state_dict(state)
    assert len(next(other)['id']) == 30  # it stays what it was
    with pytest.raises(hr.InvalidError, match='seed 5, not 6'):
        table().iter_batches(**{**ORDER, 'seed': 6}).load_state_dict(state)
    for garbage in ({}, {'headrace_position': 1}, {**state, 'row': -1}, {**state, 'more': 1}, 'nonsense', '[]'):
        with pytest.raises(hr.InvalidError, match='position'):
            batches.load_state_dict(garbage)
    with pytest.raises(TypeError):
        batches.load_state_dict(object())
    assert ids(batches) == ids(table().iter_batches(**ORDER))[30:]


@pytest.mark.parametrize('shuffle', ['none', 'blocks', 'window', 'global'])
def test_a_place_behind_the_end_is_refused_and_does_not_give_nothing(shuffle):
    order = {**ORDER, 'shuffle': shuffle, **({} if shuffle == 'window' else {'window_rows': 0, 'order_lanes': 0})}
    batches = table().iter_batches(**order)
    next(batches)
    state = batches.state_dict()
    for wrong in ({'row': 10**9}, {'row': 1001}, *([] if shuffle == 'global' else [{'unit': 10**6}])):
        with pytest.raises(hr.InvalidError, match='behind the end of epoch 0.*did the data change'):
            edited = table().iter_batches(**order)
            edited.load_state_dict({**state, **wrong})
            list(edited)
    with pytest.raises(hr.InvalidError, match='cannot be'):
        table().iter_batches(**order).load_state_dict({**state, 'more_units': 10**6})


def test_a_state_of_another_epoch_is_refused_in_words():
    later = table().iter_batches(epoch=2, **ORDER)
    next(later)
    state = later.state_dict()
    with pytest.raises(hr.InvalidError, match='in epoch 2, and this reads no more than epoch 0'):
        table().iter_batches(**ORDER).load_state_dict(state)
    with pytest.raises(hr.InvalidError, match='in epoch 2, and this reads from epoch 3'):
        table().iter_batches(epoch=3, **ORDER).load_state_dict(state)


@pytest.mark.parametrize('seed', [-1, 2**64, 10**30])
def test_seeds_that_do_not_fit_are_refused_and_not_cut(seed):
    for use in (lambda: next(table().iter_batches(shuffle='window', seed=seed)), lambda: table().random_shuffle(seed=seed),
                lambda: table().random_sample(0.5, seed=seed), lambda: table().randomize_block_order(seed=seed),
                lambda: table().train_test_split(0.5, shuffle=True, seed=seed)):
        with pytest.raises(ValueError, match='seed'):
            use()
    assert next(table().iter_batches(shuffle='window', seed=2**64 - 1)).keys() == {'id', 'x'}


@pytest.mark.parametrize('words, error', [({'global_batch_size': 0}, ValueError), ({'global_batch_size': 'a'}, TypeError),
                                          ({'batch_size': 1.5}, TypeError), ({'batch_size': 'a'}, TypeError),
                                          ({'window_rows': 2.5}, TypeError), ({'prefetch_batches': -2}, ValueError),
                                          ({'prefetch_blocks': 'a'}, TypeError), ({'batch_size': 2**70}, ValueError)])
def test_numbers_are_refused_by_their_name(words, error):
    with pytest.raises(error, match=next(iter(words))):
        table().iter_batches(**words)


def test_none_is_the_default_of_lanes_and_windows():
    order = {'shuffle': 'window', 'seed': 3}
    assert ids(table().iter_batches(window_rows=None, order_lanes=None, **order)) == ids(table().iter_batches(**order))


def test_tails_and_steps():
    rows = list(range(100))
    assert ids(hr.range(100).iter_batches(batch_size=30, tail='drop')) == rows[:90]
    assert ids(hr.range(100).iter_batches(global_batch_size=30)) == rows
    padded = [b['id'] for b in hr.range(100).iter_batches(batch_size=30, tail='pad')]
    assert [len(b) for b in padded] == [30, 30, 30, 30]
    assert list(padded[-1]) == [90 + i % 10 for i in range(30)]
    with pytest.raises(ValueError, match='tail'):
        hr.range(100).iter_batches(tail='ragged')


def test_a_window_shuffle_mixes_across_lanes():
    order = np.array(ids(hr.range(80000, blocks=16).iter_batches(batch_size=1000, shuffle='window', window_rows=8000, seed=1)))
    assert sorted(order) == list(range(80000))
    blocks_of_first_window = np.unique(order[:8000] // 5000)
    assert len(blocks_of_first_window) == 8  # one block of each of the eight lanes
    counts = np.bincount(order[:8000] // 5000, minlength=16)
    assert sorted(counts) == [0] * 8 + [1000] * 8


def test_the_window_is_as_large_whatever_is_made_of_the_rows():
    """So the order is the same with and without columns that are added, cast or packed."""
    wide = hr.range_tensor(20000, shape=(1024,), blocks=16)  # 8 KiB a row
    states = [ds.iter_batches(batch_size=10, shuffle='window').state_dict()
              for ds in (wide, wide.map('more = data * 1.0'), wide.map('data = data * 2'))]
    assert states[0]['window_rows'] == 64 * 1024 // 8 and len({s['window_rows'] for s in states}) == 1


def parquet_of(path, values, **options):
    pa = pytest.importorskip('pyarrow')
    from pyarrow import parquet
    options = {'use_dictionary': False, 'compression': 'none', **options}
    parquet.write_table(pa.table({'id': values}), path, **options)
    return path


def test_a_later_file_of_the_same_name_and_size_is_noticed_by_shuffles(tmp_path):
    files = [parquet_of(tmp_path / f'{name}.parquet', np.arange(100) + 100 * n, row_group_size=20) for n, name in enumerate('ab')]
    states = {s: hr.read_parquet(files).iter_batches(batch_size=7, shuffle=s).state_dict() for s in ('window', 'blocks')}
    size = files[1].stat().st_size
    parquet_of(files[1], np.arange(100) + 150, row_group_size=20)
    assert files[1].stat().st_size == size
    for shuffle, state in states.items():
        with pytest.raises(hr.InvalidError, match='other data'):
            hr.read_parquet(files).iter_batches(batch_size=7, shuffle=shuffle).load_state_dict(state)


@pytest.mark.parametrize('index', [False, True], ids=['headers', 'page index'])
@pytest.mark.parametrize('version', ['1.0', '2.0'])
@pytest.mark.parametrize('shuffle', ['none', 'blocks', 'window'])
def test_files_of_small_pages_go_on_at_any_row(tmp_path, index, version, shuffle):
    pa = pytest.importorskip('pyarrow')
    from pyarrow import parquet
    n = 3000
    table = pa.table({
        'id': pa.array(range(n)), 'text': [None if i % 5 == 0 else f't{i % 300}' for i in range(n)],
        'ragged': [None if i % 7 == 0 else list(range(i % 9)) for i in range(n)],
        'even': pa.array([[i, i + 1.0, i / 2] for i in range(n)], pa.list_(pa.float32()))})
    path = tmp_path / 'pages.parquet'
    parquet.write_table(table, path, row_group_size=1100, data_page_size=300, write_batch_size=50, write_page_index=index,
                        data_page_version=version, compression='zstd', use_dictionary=['text'])
    options = {'batch_size': 37, 'shuffle': shuffle, 'seed': 2, 'batch_format': 'pyarrow'}
    expected = pa.concat_tables(hr.read_parquet(path).iter_batches(**options))
    for taken in (1, 20, 31, 47, 80):
        first = hr.read_parquet(path).iter_batches(**options)
        for _ in range(taken):
            next(first)
        state = first.state_dict()
        first.close()
        rest = hr.read_parquet(path).iter_batches(**options)
        rest.load_state_dict(state)
        assert pa.concat_tables(rest).equals(expected.slice(37 * taken))


@pytest.mark.parametrize('codec', ['zstd', 'snappy', 'lz4', 'gzip', 'none'])
@pytest.mark.parametrize('items', [3, 200], ids=['mostly levels', 'mostly values'])
def test_ragged_lists_go_on_behind_pages_of_which_only_levels_are_read(tmp_path, codec, items):
    pa = pytest.importorskip('pyarrow')
    from pyarrow import parquet
    rng = np.random.default_rng(items)
    rows = 400_000 // items
    ends = np.cumsum(rng.integers(0, 2 * items, rows))
    values = rng.integers(0, 1 << rng.integers(1, 32), ends[-1]).astype(np.float32)
    lists = pa.ListArray.from_arrays(pa.array([0, *ends], pa.int32()), values, mask=pa.array(rng.random(rows) < 0.1))
    path = tmp_path / 'ragged.parquet'
    parquet.write_table(pa.table({'x': lists, 'y': pa.array(np.arange(rows))}), path, row_group_size=rows * 3 // 5, compression=codec,
                        use_dictionary=False, data_page_size=int(rng.integers(20_000, 300_000)))
    options = {'batch_size': 100, 'batch_format': 'pyarrow'}
    whole = hr.read_parquet(path).iter_batches(**options)
    states = [whole.state_dict() for _ in whole]
    expected = parquet.read_table(path)
    for state in states[1:-1:max(1, len(states) // 9)]:
        rest = hr.read_parquet(path).iter_batches(**options)
        rest.load_state_dict(state)
        assert next(rest).equals(expected.slice(state['row'], 100).combine_chunks())
        assert pa.concat_tables(rest).equals(expected.slice(state['row'] + 100))
