# SPDX-License-Identifier: Apache-2.0
"""SklearnTrainer: estimators that learn batch by batch (partial_fit), fed by a stream larger than memory."""

import os
import pickle

from .. import _core
from .config import WILDCARD, DatasetConfig
from .session import get_checkpoint, get_dataset_shard, report
from .trainer import DataParallelTrainer

MODEL_FILE = 'model.pickle'
_FEATURES = 'features (packed)'


class SklearnTrainer(DataParallelTrainer):
    """Feeds "train" to estimator.partial_fit for num_epochs, then scores the estimator on each other dataset.

    label_column: None for estimators without one. feature_columns: None: all others. classes: of classifiers; None: found in
    one pass over the labels. scoring: a function of (true, predicted); None: accuracy for classifiers, R2 for others. Each
    epoch reports {epoch, rows, NAME_score, ...}. Checkpoints hold the estimator: every checkpoint_frequency epochs, and at the
    end unless checkpoint_at_end=False; get_model(checkpoint) reads it.
    """
    _dataset_config = {'train': DatasetConfig(fit=True, split=True, required=True), WILDCARD: DatasetConfig(split=False)}
    _makes_checkpoints = True

    def __init__(self, estimator, *, label_column=None, feature_columns=None, num_epochs=1, batch_size=1024, classes=None,
                 shuffle='window', seed=0, dtype='float64', nulls='error', scoring=None, scaling_config=None, **options):
        if not hasattr(estimator, 'partial_fit'):
            raise ValueError(f'{type(estimator).__name__} has no partial_fit: it learns from all rows at once, which '
                             'ds.to_pandas() gives it')
        super().__init__(_loop, scaling_config=scaling_config, **options)
        if self.scaling_config.num_workers != 1:
            raise ValueError('scikit-learn learns in one process: num_workers is 1')
        self.estimator, self.label_column, self.feature_columns = estimator, label_column, feature_columns
        self.num_epochs, self.batch_size, self.classes, self.scoring = num_epochs, batch_size, classes, scoring
        self.order, self.dtype, self.nulls = {'shuffle': shuffle, 'seed': seed}, dtype, nulls

    def preprocess_datasets(self):
        """Features are laid side by side in C, so that the loop has nothing left to do."""
        from .._types import number_id
        super().preprocess_datasets()
        self._check_columns()
        if self.classes is None and self.label_column and _is_classifier(self.estimator):
            self.classes = _classes_of(self.datasets['train'], self.label_column)
        names = self.feature_columns or [c for c in self.datasets['train'].columns() if c != self.label_column]
        label = [self.label_column] if self.label_column else []
        self.datasets = {n: d._packing([(list(names), _FEATURES, number_id(self.dtype))], self.nulls, label)
                         for n, d in self.datasets.items()}

    def _check_columns(self):
        from sklearn.base import is_classifier, is_regressor
        if self.label_column is None and (is_classifier(self.estimator) or is_regressor(self.estimator)):
            raise ValueError(f'{type(self.estimator).__name__} learns a label: say which with label_column="..."')
        for name, dataset in self.datasets.items():
            there, wanted = dataset.columns(), ([self.label_column] if self.label_column else []) + list(self.feature_columns or ())
            for column in wanted:
                if column not in there:
                    raise _core.NotFoundError(f'dataset {name!r} has no column {column!r}; there are: {", ".join(there)}')

    def training_loop(self):
        kept = self.run_config.checkpoint_config
        return _loop, {'estimator': self.estimator, 'label': self.label_column, 'epochs': self.num_epochs,
                       'batch_size': self.batch_size, 'classes': self.classes, 'order': self.order, 'scoring': self.scoring,
                       'others': [n for n in self.datasets if n != 'train'], 'frequency': kept.checkpoint_frequency,
                       'at_end': kept.checkpoint_at_end is not False}

    @staticmethod
    def get_model(checkpoint):
        """The estimator of a checkpoint."""
        with checkpoint.as_directory() as folder, open(os.path.join(folder, MODEL_FILE), 'rb') as f:
            return pickle.load(f)


def _is_classifier(estimator):
    return getattr(estimator, '_estimator_type', None) == 'classifier' or _tagged(estimator)


def _tagged(estimator):
    from sklearn.base import is_classifier
    return is_classifier(estimator)


def _classes_of(dataset, label):
    import numpy as np
    found = np.array([])
    for batch in dataset.select_columns([label]).iter_batches(batch_size=None):
        found = np.unique(batch[label]) if not found.size else np.union1d(found, batch[label])
    return found


def _loop(config):
    estimator, label, last = config['estimator'], config['label'], config['epochs'] - 1
    checkpoint = get_checkpoint()
    if checkpoint is not None:
        estimator = SklearnTrainer.get_model(checkpoint)
    shard = get_dataset_shard('train')
    first = {} if config['classes'] is None else {'classes': config['classes']}
    for epoch in shard.epochs(config['epochs']):
        rows = 0
        for batch in shard.iter_batches(batch_size=config['batch_size'], **config['order']):
            x = batch[_FEATURES]
            estimator.partial_fit(x, batch[label], **first) if label else estimator.partial_fit(x)
            rows += len(x)
        metrics = {'epoch': epoch, 'rows': rows, **{f'{n}_score': _score(estimator, n, config) for n in config['others']}}
        due = config['frequency'] and (epoch + 1) % config['frequency'] == 0
        if due or (epoch == last and config['at_end']):
            _report_with_model(metrics, estimator)
        else:
            report(metrics)


def _report_with_model(metrics, estimator):
    import tempfile

    from .. import _function
    from .checkpoint import Checkpoint
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, MODEL_FILE), 'wb') as f:
            f.write(_function.pickled(estimator, 'the estimator'))
        report(metrics, checkpoint=Checkpoint.from_directory(folder))


def _score(estimator, name, config):
    """Predictions are made batch by batch; only they and the labels are gathered."""
    import numpy as np
    label, true, predicted = config['label'], [], []
    batches = get_dataset_shard(name).iter_batches(batch_size=max(config['batch_size'], 4096))
    if label is None:
        scores = [(len(b[_FEATURES]), estimator.score(b[_FEATURES])) for b in batches]
        return sum(s for _, s in scores) / max(1, sum(n for n, _ in scores))
    for batch in batches:
        true.append(np.array(batch[label]))
        predicted.append(estimator.predict(batch[_FEATURES]))
    if not true:
        return None
    scoring = config['scoring']
    if scoring is None:
        from sklearn.metrics import accuracy_score, r2_score
        scoring = accuracy_score if _is_classifier(estimator) else r2_score
    return float(scoring(np.concatenate(true), np.concatenate(predicted)))
