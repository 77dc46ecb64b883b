# SPDX-License-Identifier: Apache-2.0
"""Batches as PyTorch has them. Tensors are the batches' own memory, by DLPack, private to whoever holds them."""

import functools

import torch
from torch.utils import data as _data

from . import _convert, _types as t
from ._groups import Groups


class IterableDataset(_data.IterableDataset):
    """Passes over a source of batches; each pass is the next epoch. set_epoch(n) says which one comes next. state_dict and
    load_state_dict are torchdata's protocol: the next pass goes on behind the last batch that was given.

    Under a DataLoader: DataLoader(ds, batch_size=None, num_workers=0). Its worker processes would each read everything.
    """

    def __init__(self, source, begin):
        super().__init__()
        self._source, self._begin, self._epoch = source, begin, 0
        self._pass = self._loaded = None

    def set_epoch(self, epoch):
        self._epoch = epoch

    def state_dict(self):
        return self._loaded if self._pass is None else self._pass.state_dict()

    def load_state_dict(self, state):
        self._loaded, self._pass = state, None
        if state is not None:
            self._epoch = state['epoch']

    def __iter__(self):
        worker = _data.get_worker_info()
        if worker is not None:
            raise RuntimeError(_WORKERS.format(worker.num_workers))
        order = self._source._next_pass(self._epoch)
        self._epoch += 1
        self._pass = self._begin(order)
        if self._loaded is not None:
            self._pass.load_state_dict(self._loaded)
            self._loaded = None
        return self._pass

    def __reduce__(self):
        raise TypeError(_WORKERS.format('N'))


_WORKERS = ('DataLoader(num_workers={}) over a headrace dataset: batches are made ahead by headrace\'s own threads; use '
            'DataLoader(ds, batch_size=None, num_workers=0), or a trainer for several training processes')


def placed(form, dtypes, device):
    """A form whose tensors are cast and moved. Nothing is done to those that are right already."""
    if dtypes is None and device is None:
        return form
    for dtype in dtypes.values() if isinstance(dtypes, dict) else [dtypes]:
        if dtype is not None and not isinstance(dtype, torch.dtype):
            raise TypeError(f'dtypes {dtype!r}: a torch.dtype as torch.float32, or a dict of them by column')
    return _convert.by_column(form, dtypes, lambda x, dtype: x.to(device=device, dtype=dtype, non_blocking=True))


def collated(collate_fn, device, nulls):
    """A form that is the user's own function of a dict of arrays, which may be written."""
    def on_device(made):
        if isinstance(made, torch.Tensor):
            return made.to(device, non_blocking=True)
        if isinstance(made, dict):
            return {n: on_device(x) for n, x in made.items()}
        return type(made)(map(on_device, made)) if isinstance(made, (list, tuple)) else made

    def run(batch):
        made = collate_fn(_convert.numpy_batch(batch, nulls, writable=True))
        return made if device is None else on_device(made)

    return run


class Features:
    """What to_torch asks for. Columns of numbers are laid side by side in C where the source can do that, else by torch.cat."""

    def __init__(self, source, label, columns, label_dtype, dtypes, unsqueeze_label, unsqueeze, nulls):
        self.source, self.label_dtype, self.nulls = source, label_dtype, nulls
        self.unsqueeze_label, self.unsqueeze = unsqueeze_label, unsqueeze
        self.groups = Groups(columns, label)
        self.dtypes = _dtypes_like(self.groups, dtypes)

    def begin(self, batch_size, order):
        source, packs = self.source, {}
        if self.unsqueeze:
            source, packs = self.groups.packed(source, self.nulls, self._together)
        return source._begin(lambda batch: self._form(batch, packs), batch_size, order)

    def _together(self, group, kinds):
        dtype = self.dtypes[group]
        if isinstance(dtype, (list, tuple)):
            return None
        if dtype is None:
            dtype = functools.reduce(torch.promote_types, [_TORCH[kind] for kind in kinds])
        return str(dtype).removeprefix('torch.')

    def _form(self, batch, packs):
        groups, label = self.groups, None
        if groups.label is not None:
            label = _convert.torch_tensor(batch[groups.label], self.nulls)
            label = label if self.label_dtype is None else label.to(self.label_dtype)
            label = label.unsqueeze(1) if self.unsqueeze_label else label
        groups.resolve([c.name for c in batch.columns()])
        made = [_convert.torch_tensor(batch[packs[i]], self.nulls) if i in packs else self._cat(batch, columns, dtype)
                for i, (columns, dtype) in enumerate(zip(groups.groups, self.dtypes))]
        return groups.shaped(made, list), label

    def _cat(self, batch, columns, dtype):
        each = dtype if isinstance(dtype, (list, tuple)) else [dtype] * len(columns)
        parts = [_convert.torch_tensor(batch[c], self.nulls) for c in columns]
        parts = [x if d is None else x.to(d) for x, d in zip(parts, each)]
        if self.unsqueeze:
            parts = [x.unsqueeze(1) for x in parts]
        elif len(parts) > 1 and any(x.dim() < 2 for x in parts):
            raise ValueError(f'columns {columns} are single numbers: several of them are one tensor only with '
                             'unsqueeze_feature_tensors=True')
        return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]


_TORCH = {kind: getattr(torch, name) for name, kind in t.BY_NAME.items() if name not in ('int', 'float', 'bool')}


def _dtypes_like(groups, dtypes):
    """A dtype (or a list of them, by column) for each group."""
    keys, columns = groups.keys, groups.groups
    if dtypes is None or isinstance(dtypes, torch.dtype):
        return [dtypes] * len(columns)
    if isinstance(keys, list):
        if not isinstance(dtypes, dict):
            raise TypeError(f'feature_columns is a dict: feature_column_dtypes must be one too, or one dtype, not {dtypes!r}')
        if set(dtypes) != set(keys):
            raise ValueError(f'feature_columns has the keys {sorted(keys)} and feature_column_dtypes {sorted(dtypes)}')
        return [dtypes[k] for k in keys]
    wanted = len(columns[0] or ()) if keys is None else keys
    if not isinstance(dtypes, (list, tuple)):
        raise TypeError(f'feature_columns is a list: feature_column_dtypes must be one too, or one dtype, not {dtypes!r}')
    if len(dtypes) != wanted:
        raise ValueError(f'feature_columns has {wanted} entries and feature_column_dtypes {len(dtypes)}')
    return [list(dtypes)] if keys is None else list(dtypes)
