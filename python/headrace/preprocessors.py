# SPDX-License-Identifier: Apache-2.0
"""Preprocessors: learn from one dataset, apply to any, and to single batches (serving).

A preprocessor that learns has attributes that end in an underscore once it is fitted (`stats_`). Transforming is lazy: what a
chain does fuses with the read.
"""

import enum
import json
import warnings

from . import _core, _types


class PreprocessorNotFittedException(RuntimeError):
    """transform was called before fit."""


class Preprocessor:
    """The contract: fit, transform, fit_transform, transform_batch, transform_stats, fit_status."""

    class FitStatus(str, enum.Enum):
        NOT_FITTABLE = 'NOT_FITTABLE'
        NOT_FITTED = 'NOT_FITTED'
        PARTIALLY_FITTED = 'PARTIALLY_FITTED'
        FITTED = 'FITTED'

    _is_fittable = True
    _transformed = None  # the dataset of the last transform

    def fit_status(self):
        if not self._is_fittable:
            return self.FitStatus.NOT_FITTABLE
        fitted = any(name.endswith('_') and not name.startswith('_') for name in vars(self))
        return self.FitStatus.FITTED if fitted else self.FitStatus.NOT_FITTED

    def fit(self, dataset):
        """Learns from the dataset; a fitted one learns anew, with a warning. Stateless ones do nothing."""
        if self.fit_status() is self.FitStatus.NOT_FITTABLE:
            return self
        if self.fit_status() in (self.FitStatus.FITTED, self.FitStatus.PARTIALLY_FITTED):
            warnings.warn('the preprocessor was fitted already: what it learned is overwritten', stacklevel=2)
        self._fit(dataset)
        return self

    def fit_transform(self, dataset):
        return self.fit(dataset).transform(dataset)

    def transform(self, dataset):
        """The dataset with this applied, lazily."""
        self._check_fitted()
        self._transformed = self._transform(dataset)
        return self._transformed

    def transform_batch(self, batch):
        """One batch in memory: a DataFrame, a dict of arrays or an Arrow table; returns the same form."""
        self._check_fitted()
        return self._transform_batch(batch)

    def transform_stats(self):
        """The statistics of the last transform, or None. Of what has not run yet they say so."""
        return None if self._transformed is None else self._transformed.stats()

    def _check_fitted(self):
        if self.fit_status() in (self.FitStatus.NOT_FITTED, self.FitStatus.PARTIALLY_FITTED):
            raise PreprocessorNotFittedException(f'{type(self).__name__}: fit must be called before transform')

    def _fit(self, dataset):
        raise NotImplementedError

    def _transform(self, dataset):
        raise NotImplementedError

    def _transform_batch(self, batch):
        raise NotImplementedError

    def __getstate__(self):
        return {k: v for k, v in vars(self).items() if k != '_transformed'}


class BatchMapper(Preprocessor):
    """The user's function on batches. What can be traced runs in C (Dataset.map_batches)."""
    _is_fittable = False

    def __init__(self, fn, *, batch_format='pandas', batch_size=None):
        self.fn, self.batch_format, self.batch_size = fn, batch_format, batch_size

    def _transform(self, dataset):
        return dataset.map_batches(self.fn, batch_format=self.batch_format, batch_size=self.batch_size)

    def _transform_batch(self, batch):
        from . import _convert
        if self.batch_format == ('pandas' if hasattr(batch, 'iloc') else 'numpy' if isinstance(batch, dict) else None):
            return self.fn(batch)
        form = _convert.former(self.batch_format, 'nan')
        return _same_form(batch, lambda b: _convert.to_batch(self.fn(form(b))))

    def __repr__(self):
        from ._function import name_of
        return f'BatchMapper(fn={name_of(self.fn)})'


class StandardScaler(Preprocessor):
    """(x - mean) / std of each column, ddof 0. Nulls and NaN are passed over when learning and kept; std 0 divides by 1."""

    def __init__(self, columns, *, dtype='float64'):
        self.columns, self.dtype = list(columns), dtype

    def _plan(self):
        return _core.Prep.standard_scaler(self.columns, _types.number_id(self.dtype))

    def _fit(self, dataset):
        fitted = self._plan().fit(dataset._handle)
        self.stats_ = json.loads(fitted.learned())
        self._saved = fitted.save()

    def _fitted(self):
        return _core.Prep.load(self._saved)

    def _transform(self, dataset):
        return dataset._with(self._fitted().transform(dataset._handle))

    def _transform_batch(self, batch):
        return _same_form(batch, lambda b: self._fitted().transform_block(b))

    def __repr__(self):
        return f'StandardScaler(columns={self.columns!r})'


class Chain(Preprocessor):
    """One after the other: each learns from what those before it give."""

    def __init__(self, *preprocessors):
        if any(isinstance(p, Chain) for p in preprocessors):
            raise ValueError('a Chain in a Chain: give all preprocessors to one')
        self.preprocessors = preprocessors

    def fit_status(self):
        states = [p.fit_status() for p in self.preprocessors]
        fittable = [s for s in states if s is not self.FitStatus.NOT_FITTABLE]
        if not fittable:
            return self.FitStatus.NOT_FITTABLE
        if all(s is self.FitStatus.FITTED for s in fittable):
            return self.FitStatus.FITTED
        some = any(s is self.FitStatus.FITTED for s in fittable)
        return self.FitStatus.PARTIALLY_FITTED if some else self.FitStatus.NOT_FITTED

    def _fit(self, dataset):
        for p in self.preprocessors[:-1]:
            dataset = p.fit_transform(dataset)
        if self.preprocessors:
            self.preprocessors[-1].fit(dataset)

    def _transform(self, dataset):
        for p in self.preprocessors:
            dataset = p.transform(dataset)
        return dataset

    def _transform_batch(self, batch):
        for p in self.preprocessors:
            batch = p.transform_batch(batch)
        return batch

    def __repr__(self):
        inner = ', '.join(repr(p) for p in self.preprocessors)
        return f'Chain(preprocessors=({inner}{"," if len(self.preprocessors) == 1 else ""}))'


def _same_form(batch, change):
    """Applies a change of Batch to a batch in the user's form."""
    from . import _convert
    made = change(_convert.to_batch(batch, 'transform_batch'))
    if isinstance(batch, dict):
        return _convert.numpy_batch(made, 'nan')
    if isinstance(batch, _core.Batch):
        return made
    if hasattr(batch, 'iloc'):
        return _convert.pandas_batch(made).set_axis(batch.index, axis=0)
    return _convert.arrow_batch(made)
