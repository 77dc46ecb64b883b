# SPDX-License-Identifier: Apache-2.0
"""Batches in the hands of PyTorch, TensorFlow and JAX: the same numbers, in the feed's own memory."""

import numpy as np
import pytest

import headrace as hr

ROWS = 1000


@pytest.fixture(scope='module')
def arrays():
    rng = np.random.default_rng(3)
    return {'i': np.arange(ROWS), 'f': rng.random(ROWS, np.float32), 'd': rng.random(ROWS), 'b': np.arange(ROWS) % 3 == 0,
            'i8': (np.arange(ROWS) % 100).astype(np.int8), 't': rng.random((ROWS, 3, 4), np.float32)}


@pytest.fixture(scope='module')
def table(arrays):
    return hr.from_numpy(arrays, blocks=7)


def in_worker(loop, dataset, **options):
    """What a loop reports last from one worker."""
    pytest.importorskip('cloudpickle')
    from headrace import train
    return train.Trainer(loop, datasets={'train': dataset}, **options).fit().metrics


# --- PyTorch ---

def test_torch_batches_are_the_rows(table, arrays):
    torch = pytest.importorskip('torch')
    batches = list(table.iter_torch_batches(batch_size=96))
    assert [len(b['i']) for b in batches] == [96] * 10 + [40]
    for name, array in arrays.items():
        got = torch.cat([b[name] for b in batches]).numpy()
        assert got.dtype == array.dtype
        np.testing.assert_array_equal(got, array)


def test_torch_tensors_are_the_feeds_memory():
    torch = pytest.importorskip('torch')
    batch = next(iter(hr.range_tensor(64, shape=(8,), blocks=1).feed(batch_size=64)))
    tensor = batch['data'].tensor(writable=True)
    assert torch.from_dlpack(tensor).data_ptr() == np.asarray(tensor).ctypes.data


def test_torch_dtypes_device_and_collate(table):
    torch = pytest.importorskip('torch')
    only = table.select_columns(['i', 'f'])
    assert {x.dtype for x in next(only.iter_torch_batches(dtypes=torch.float64)).values()} == {torch.float64}
    mixed = next(only.iter_torch_batches(dtypes={'i': torch.int16}, device='cpu'))
    assert (mixed['i'].dtype, mixed['f'].dtype) == (torch.int16, torch.float32)

    def collate(batch):
        batch['i'][0] = 7  # its own memory
        return torch.as_tensor(batch['i']), {'f': torch.as_tensor(batch['f'])}
    pairs = list(only.iter_torch_batches(batch_size=500, collate_fn=collate, device='meta'))
    assert len(pairs) == 2 and pairs[0][0].device.type == pairs[0][1]['f'].device.type == 'meta'
    assert next(only.iter_torch_batches(batch_size=500, collate_fn=collate))[0][0] == 7
    assert next(only.iter_batches(batch_size=500))['i'][0] == 0
    with pytest.raises(ValueError, match='collate_fn'):
        only.iter_torch_batches(collate_fn=collate, dtypes=torch.float32)
    packed = next(only.iter_torch_batches(batch_size=10, tensor=['i', 'f'], dtypes=torch.float64))
    assert packed.shape == (10, 2) and packed.dtype == torch.float64


def test_torch_nulls_and_what_torch_has_not():
    pytest.importorskip('torch')
    pa = pytest.importorskip('pyarrow')
    ds = hr.from_arrow(pa.table({'x': [1.0, None, 3.0], 's': ['a', 'b', 'c']}))
    with pytest.raises(hr.UnsupportedError, match="'s' is string.*select_columns"):
        list(ds.iter_torch_batches(nulls='nan'))
    x = ds.select_columns(['x'])
    with pytest.raises(hr.InvalidError, match="'x'"):
        list(x.iter_torch_batches())
    assert next(x.iter_torch_batches(nulls=-1))['x'].tolist() == [1, -1, 3]
    assert next(x.to_torch(batch_size=3, nulls=-1).__iter__())[0].tolist() == [[1], [-1], [3]]


TO_TORCH = [
    (['f'], None, (10, 1), 'float32'),
    (['i', 'f'], None, (10, 2), 'float32'),  # as torch promotes
    (['i', 'd'], None, (10, 2), 'float64'),
    (['i', 'i8'], None, (10, 2), 'int64'),
    (['i', 'f', 'd'], 'float32', (10, 3), 'float32'),
    (['b', 'f'], 'float32', (10, 2), 'float32'),
    (['t'], None, (10, 1, 3, 4), 'float32'),
    (['i', 'f'], ['float64', 'float32'], (10, 2), 'float64'),
    (['i', 'i'], None, (10, 2), 'int64'),
]


@pytest.mark.parametrize('columns, dtype, shape, made', TO_TORCH)
def test_to_torch_lays_columns_side_by_side(table, arrays, columns, dtype, shape, made):
    torch = pytest.importorskip('torch')
    wanted = [getattr(torch, d) for d in dtype] if isinstance(dtype, list) else dtype and getattr(torch, dtype)
    pairs = list(table.to_torch(label_column='b', feature_columns=columns, feature_column_dtypes=wanted, batch_size=10))
    x, y = pairs[0]
    assert tuple(x.shape) == shape and x.dtype == getattr(torch, made) and tuple(y.shape) == (10, 1)
    got = torch.cat([x for x, _ in pairs]).numpy()
    parts = [arrays[c][:, None].astype(made) for c in columns]
    np.testing.assert_array_equal(got, np.concatenate(parts, axis=1) if len(parts) > 1 else parts[0])


def test_to_torch_structures(table, arrays):
    torch = pytest.importorskip('torch')
    (x, z), y = next(iter(table.to_torch(label_column='i', label_column_dtype=torch.float32, unsqueeze_label_tensor=False,
                                         feature_columns=[['f', 'd'], ['i8']], feature_column_dtypes=[torch.float32, torch.int64],
                                         batch_size=4)))
    assert (x.shape, x.dtype, z.shape, z.dtype, y.shape, y.dtype) == (
        (4, 2), torch.float32, (4, 1), torch.int64, (4,), torch.float32)
    made, y = next(iter(table.to_torch(feature_columns={'a': ['f', 'd'], 'b': ['t']}, unsqueeze_feature_tensors=True)))
    assert y is None and made['a'].shape == (1, 2) and made['b'].shape == (1, 1, 3, 4)
    flat = hr.from_numpy({'u': arrays['t'][:, 0], 'v': arrays['t'][:, 1], 'w': arrays['f']})
    x, _ = next(iter(flat.to_torch(feature_columns=['u', 'v'], unsqueeze_feature_tensors=False, batch_size=5)))
    assert x.shape == (5, 8)
    np.testing.assert_array_equal(x.numpy(), arrays['t'][:5, :2].reshape(5, 8))
    x, y = next(iter(hr.from_numpy({'a': arrays['f'], 'b': arrays['d']}).to_torch(label_column='b', batch_size=3)))
    assert x.shape == (3, 1) and y.shape == (3, 1)
    with pytest.raises(ValueError, match='unsqueeze_feature_tensors'):
        next(iter(flat.to_torch(feature_columns=['w', 'w'], unsqueeze_feature_tensors=False)))


REFUSED = [
    ({'feature_columns': [['f'], []]}, ValueError, 'none of them empty'),
    ({'feature_columns': ['f', ['d']]}, ValueError, 'list of lists'),
    ({'feature_columns': {'a': ['f']}, 'feature_column_dtypes': ['float32']}, TypeError, 'must be one too'),
    ({'feature_columns': {'a': ['f']}, 'feature_column_dtypes': {'b': 'float32'}}, ValueError, 'keys'),
    ({'feature_columns': [['f'], ['d']], 'feature_column_dtypes': ['float32']}, ValueError, '2 entries'),
    ({'feature_columns': [['f'], ['d']], 'feature_column_dtypes': {'f': 'float32'}}, TypeError, 'must be one too'),
    ({'label_column': ['f']}, TypeError, 'one column'),
]


@pytest.mark.parametrize('options, error, words', REFUSED)
def test_to_torch_refuses(table, options, error, words):
    pytest.importorskip('torch')
    with pytest.raises(error, match=words):
        table.to_torch(**options)


MISSING = [
    (lambda t: t.to_torch(label_column='far', feature_columns=['f', 'd']), "label_column: no column 'far'; there are: i, f, d"),
    (lambda t: t.to_torch(feature_columns=['far', 'f']), "feature_columns: no column 'far'; there are: i, f, d"),
    (lambda t: t.iter_torch_batches(dtypes={'far': None}), "dtypes has no column 'far': there are i, f, d"),
    (lambda t: t.iter_batches(tensor=['far', 'f']), "no column 'far'; there are: i, f, d"),
]


@pytest.mark.parametrize('made, words', MISSING)
def test_a_column_that_is_not_there_is_told_with_those_that_are(table, made, words):
    pytest.importorskip('torch')
    with pytest.raises(hr.NotFoundError, match=words):
        next(iter(made(table)))


def test_options_that_are_not_there_are_told(table):
    for options, words in (({'batchsize': 4}, "no option 'batchsize': .* batch_size, global_batch_size"),
                           ({'local_shuffle_buffer_size': 4}, "shuffle='window' with window_rows"), ({'epochs': 2}, 'a shard'),
                           ({'batch_size': 2.5}, 'batch_size 2.5: a whole number'), ({'global_batch_size': '8'}, "'8': a whole")):
        with pytest.raises(TypeError, match=words):
            table.iter_batches(**options)
    with pytest.raises(ValueError, match='global_batch_size 0'):
        table.iter_batches(global_batch_size=0)
    assert len(next(table.iter_batches(batch_size=np.int64(10)))['i']) == 10


def test_torch_dtypes_are_torchs(table):
    pytest.importorskip('torch')
    with pytest.raises(TypeError, match="'float32': a torch.dtype"):
        table.iter_torch_batches(dtypes='float32')


def test_a_torch_dataset_under_a_data_loader(arrays):
    torch = pytest.importorskip('torch')
    ds = hr.range(ROWS, blocks=10).torch_dataset(batch_size=64, shuffle='window', seed=4)
    assert isinstance(ds, torch.utils.data.IterableDataset)
    loader = torch.utils.data.DataLoader(ds, batch_size=None, num_workers=0)
    epochs = [torch.cat([b['id'] for b in loader]).tolist() for _ in range(2)]
    assert epochs[0] != epochs[1] and sorted(epochs[0]) == sorted(epochs[1]) == list(range(ROWS))
    ds.set_epoch(0)
    assert torch.cat([b['id'] for b in loader]).tolist() == epochs[0]
    streamed = hr.range(ROWS, blocks=10).feed(batch_size=64, shuffle='window', seed=4, first_epoch=1)
    assert epochs[1] == [i for b in streamed for i in b['id'].values()]
    with pytest.raises(RuntimeError, match='num_workers=0'):
        list(torch.utils.data.DataLoader(ds, batch_size=None, num_workers=1))
    with pytest.raises(TypeError, match='num_workers=0'):
        list(torch.utils.data.DataLoader(ds, batch_size=None, num_workers=1, multiprocessing_context='spawn'))


def test_a_torch_dataset_goes_on_from_its_state():
    torch = pytest.importorskip('torch')

    def loader():
        ds = hr.range(ROWS, blocks=10).torch_dataset(batch_size=64, shuffle='window', seed=4)
        return ds, torch.utils.data.DataLoader(ds, batch_size=None)
    whole = [[b['id'].tolist() for b in loader()[1]]]
    ds, batches = loader()
    list(batches)
    whole.append([b['id'].tolist() for b in batches])
    for epoch, steps in ((0, 3), (1, 0), (1, 7), (1, 16)):
        ds, batches = loader()
        ds.set_epoch(epoch)
        for _, batch in zip(range(steps), iter(batches)):
            pass
        state = ds.state_dict()
        ds, batches = loader()
        ds.load_state_dict(state)
        if state is not None:
            assert [b['id'].tolist() for b in batches] == whole[epoch][steps:]


def test_torch_in_a_worker(table):
    pytest.importorskip('torch')

    def loop():
        import torch

        from headrace import train
        shard = train.get_dataset_shard('train')
        rows, total, shapes = 0, 0.0, set()
        for x, y in shard.to_torch(label_column='b', feature_columns=['f', 'd'], feature_column_dtypes=torch.float32,
                                   batch_size=100, epochs=3):
            rows, total = rows + len(x), total + x.sum().item()
            shapes.add((tuple(x.shape), tuple(y.shape)))
        packed = [b.shape for b in shard.iter_torch_batches(batch_size=100, tensor=['f', 'd'], epochs=3)]
        loaded = sum(len(b['i']) for b in torch.utils.data.DataLoader(
            shard.torch_dataset(batch_size=100, epochs=3, dtypes=torch.float32), batch_size=None))
        train.report(rows=rows, total=total, shapes=sorted(shapes), packed=len(packed), shape=list(packed[0]), loaded=loaded)
    got = in_worker(loop, table)
    assert got['rows'] == got['loaded'] == ROWS and got['shapes'] == [[[100, 2], [100, 1]]]
    assert got['packed'] == 10 and got['shape'] == [100, 2]


# --- TensorFlow ---

def test_tf_batches_are_the_rows(table, arrays):
    tf = pytest.importorskip('tensorflow')
    batches = list(table.iter_tf_batches(batch_size=96))
    for name, array in arrays.items():
        got = tf.concat([b[name] for b in batches], 0).numpy()
        assert got.dtype == array.dtype
        np.testing.assert_array_equal(got, array)
    cast = next(table.iter_tf_batches(dtypes={'i': tf.float32, 'b': 'float32'}))
    assert cast['i'].dtype == cast['b'].dtype == tf.float32 and cast['d'].dtype == tf.float64
    assert next(table.iter_tf_batches(batch_size=9, tensor=['i', 'f'])).shape == (9, 2)


def test_tf_tensors_are_the_feeds_memory():
    tf = pytest.importorskip('tensorflow')
    from headrace import tf as ours
    batch = next(iter(hr.range_tensor(64, shape=(8,), blocks=1).feed(batch_size=64)))
    made = ours.tensor(batch['data'])
    where = np.asarray(memoryview(made)).ctypes.data
    assert where in {np.asarray(batch['data'].tensor(writable=w)).ctypes.data for w in (False, True)}
    assert made.dtype == tf.int64


def test_to_tf_structures(table, arrays):
    tf = pytest.importorskip('tensorflow')
    data = table.to_tf(label_column='b', feature_columns=['i', 'f'], batch_size=100)
    assert data.element_spec == (tf.TensorSpec((None, 2), tf.float64), tf.TensorSpec((None,), tf.bool))
    pairs = list(data)
    assert len(pairs) == 10 and pairs[3][0].shape == (100, 2)
    np.testing.assert_array_equal(tf.concat([x for x, _ in pairs], 0).numpy()[:, 1], arrays['f'])
    np.testing.assert_array_equal(tf.concat([y for _, y in pairs], 0).numpy(), arrays['b'])
    spec = ((tf.TensorSpec((None, 2), tf.float32), tf.TensorSpec((None, 3, 4), tf.float32)), tf.TensorSpec((None,), tf.int32))
    (x, z), y = next(iter(table.to_tf(label_column='i', feature_columns=[['f', 'd'], ['t']], output_signature=spec)))
    assert (x.dtype, z.shape, y.dtype) == (tf.float32, (256, 3, 4), tf.int32)
    made = next(iter(table.to_tf(feature_columns={'a': ['f', 'd'], 'b': ['i8']})))
    assert made['a'].shape == (256, 2) and made['b'].dtype == tf.int8
    with pytest.raises(hr.NotFoundError, match='nothing'):
        table.to_tf(feature_columns=['nothing'])


def test_to_tf_trains_a_keras_model_and_reshuffles(arrays):
    tf = pytest.importorskip('tensorflow')
    rng = np.random.default_rng(1)
    x = rng.normal(size=(ROWS, 3)).astype('float32')
    ds = hr.from_numpy({'a': x[:, 0].copy(), 'b': x[:, 1].copy(), 'c': x[:, 2].copy(), 'y': x @ [1, 2, 3]}, blocks=5)
    data = ds.to_tf(label_column='y', feature_columns=['a', 'b', 'c'], batch_size=50, shuffle='window', seed=3)
    assert next(iter(data))[0].numpy().tolist() != next(iter(data))[0].numpy().tolist()
    model = tf.keras.Sequential([tf.keras.layers.Dense(1)])
    model.compile(tf.keras.optimizers.Adam(0.3), 'mse')
    losses = model.fit(data, epochs=3, verbose=0).history['loss']
    assert losses[-1] < 0.1 * losses[0]


def test_tf_refuses_what_the_columns_cannot_be(table):
    tf = pytest.importorskip('tensorflow')
    two = {'label_column': 'd', 'feature_columns': ['f', 'i8']}
    label = tf.TensorSpec((None,), tf.float32)
    for signature in (tf.TensorSpec((None, 2), tf.float32), (tf.TensorSpec((None, 3), tf.float32), label)):
        with pytest.raises(ValueError, match='output_signature .*: the columns make'):
            table.to_tf(output_signature=signature, **two)
    made = table.to_tf(output_signature=(tf.TensorSpec((None, 2), tf.float16), label), **two)
    assert next(iter(made))[0].dtype == tf.float16
    with pytest.raises(hr.NotFoundError, match="label_column: no column 'far'"):
        table.to_tf(label_column='far')
    with pytest.raises(hr.NotFoundError, match="dtypes has no column 'far'"):
        next(table.iter_tf_batches(dtypes={'far': tf.float32}))


def test_tf_strings():
    tf = pytest.importorskip('tensorflow')
    pa = pytest.importorskip('pyarrow')
    ds = hr.from_arrow(pa.table({'s': ['a', 'bc', 'd'], 'n': ['x', None, 'y']}))
    assert next(ds.select_columns('s').iter_tf_batches())['s'].numpy().tolist() == [b'a', b'bc', b'd']
    data = ds.to_tf(feature_columns=['s'])
    assert data.element_spec.dtype == tf.string and next(iter(data)).numpy().tolist() == [[b'a'], [b'bc'], [b'd']]
    with pytest.raises(hr.InvalidError, match="'n' has 1 nulls"):
        next(ds.iter_tf_batches())


def test_tf_in_a_worker(table):
    pytest.importorskip('tensorflow')

    def loop():
        from headrace import train
        shard = train.get_dataset_shard('train')
        data = shard.to_tf(label_column='i', feature_columns=['f', 'd'], batch_size=100)
        rows = [sum(len(y) for _, y in data) for _ in range(2)]
        train.report(rows=rows, spec=str(data.element_spec[0].shape))
    assert in_worker(loop, table) == {'rows': [ROWS, ROWS], 'spec': '(None, 2)'}


# --- JAX ---

def test_jax_batches_are_the_rows(table, arrays):
    pytest.importorskip('jax')
    import jax.numpy as jnp
    batches = list(table.iter_jax_batches(batch_size=96))
    for name, array in arrays.items():
        got = np.concatenate([np.asarray(b[name]) for b in batches])
        narrow = {'float64': 'float32', 'int64': 'int32'}.get(str(array.dtype), str(array.dtype))  # as jax does
        assert got.dtype == narrow
        np.testing.assert_array_equal(got, array.astype(narrow))
    cast = next(table.iter_jax_batches(dtypes={'i8': jnp.float32}))
    assert cast['i8'].dtype == jnp.float32
    assert next(table.iter_jax_batches(batch_size=9, tensor=['i', 'f'])).shape == (9, 2)


def test_jax_arrays_are_the_feeds_memory():
    jax = pytest.importorskip('jax')
    from headrace import jax as ours
    data = hr.from_numpy({'x': np.ones((64, 16), np.float32)})
    batch = next(iter(data.feed(batch_size=64)))
    made = ours.array(batch['x'])
    where = {np.asarray(batch['x'].tensor(writable=w)).ctypes.data for w in (False, True)}
    assert made.unsafe_buffer_pointer() in where
    moved = next(data.iter_jax_batches(device=jax.devices('cpu')[0]))
    assert float(moved['x'].sum()) == 64 * 16


# --- windows and repeats ---

def test_an_epoch_has_the_order_of_its_number_whichever_were_read_before():
    ds = hr.range(200, blocks=8)

    def read(epoch):
        return [i for b in epoch.iter_batches(batch_size=30) for i in b['id'].tolist()]

    def alone(number):
        return [i for b in ds.iter_batches(batch_size=30, shuffle='window', seed=5, epoch=number) for i in b['id'].tolist()]

    first, second, third, fourth = ds.repeat(4).random_shuffle_each_window(seed=5).iter_epochs()
    assert read(second) == alone(1)  # the first one was passed over
    assert read(second) == alone(1)  # again
    assert read(fourth) == alone(3) and read(first) == alone(0) and read(third) == alone(2)


def test_a_pipeline_repeats_with_an_order_of_its_own_in_each_epoch():
    ds = hr.range(200, blocks=8)
    pipe = ds.repeat(3).random_shuffle_each_window(seed=5)
    assert pipe.count() == 600
    ids = [i for b in pipe.iter_batches(batch_size=30) for i in b['id'].tolist()]
    epochs = [[i for b in e.iter_batches(batch_size=30) for i in b['id'].tolist()] for e in pipe.iter_epochs()]
    assert sum(epochs, []) == ids and len({tuple(e) for e in epochs}) == 3
    for number, seen in enumerate(epochs):
        assert sorted(seen) == list(range(200))
        alone = ds.iter_batches(batch_size=30, shuffle='window', seed=5, epoch=number)
        assert seen == [i for b in alone for i in b['id'].tolist()]
    assert len(list(ds.repeat().iter_epochs(max_epoch=2))) == 2
    with pytest.raises(ValueError, match='repeated already'):
        pipe.repeat(2)
    with pytest.raises(TypeError, match='repeat 1.5'):
        ds.repeat(1.5)
    with pytest.raises(ValueError, match='repartition in 10000000000000 blocks: from 1 to'):
        ds.repartition(10**13)
    with pytest.raises(ValueError, match='split 0'):
        ds.split(0)
    with pytest.raises(TypeError, match='fn returned 3'):
        pipe.foreach_window(lambda window: 3)
    with pytest.raises(ValueError, match='without end'):
        ds.repeat().count()


def test_windows_say_to_which_rows_functions_apply():
    pipe = hr.range(120, blocks=12).window(blocks_per_window=4)
    assert [w.count() for w in pipe.iter_datasets()] == [40, 40, 40]
    firsts = pipe.foreach_window(lambda w: w.limit(2)).map('id = id + 1')
    assert [r['id'] for r in firsts.iter_rows()] == [1, 2, 41, 42, 81, 82]
    assert [w.count() for w in pipe.rewindow(blocks_per_window=6).iter_datasets()] == [60, 60]
    assert [p.count() for p in pipe.split(2)] == [60, 60]
    assert len(list(hr.range(1000, blocks=10).window(bytes_per_window=2000).iter_datasets())) == 4
    with pytest.raises(ValueError, match='not both'):
        hr.range(3).window(blocks_per_window=1, bytes_per_window=1)
