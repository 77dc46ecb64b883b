# SPDX-License-Identifier: Apache-2.0
"""Runs that are killed and go on at the exact row."""

import os

import numpy as np
import pytest

import headrace as hr
from headrace import train
from headrace.train import Checkpoint, CheckpointConfig, DataParallelTrainer, FailureConfig, RunConfig
from test_trainers import digits

pytest.importorskip('cloudpickle')


@pytest.fixture
def run_config(tmp_path):
    return lambda **options: RunConfig(name='run', storage_path=tmp_path, **options)


def counting(config):
    """Adds up what it read; a checkpoint every few batches; dies once where it is told to."""
    import os
    import signal

    from headrace import train
    checkpoint = train.get_checkpoint()
    seen = checkpoint.to_dict()['seen'] if checkpoint else {}
    shard, lives = train.get_dataset_shard('train'), config['lives']
    for epoch in shard.epochs(3):
        for n, batch in enumerate(shard.iter_batches(batch_size=7, shuffle='window', seed=3)):
            seen.setdefault(epoch, []).extend(batch['id'].tolist())
            if n % 5 == 4:
                train.report({'epoch': epoch, 'rows': sum(map(len, seen.values()))}, checkpoint=train.Checkpoint.from_dict({'seen': seen}))
            if (epoch, n) in config['dies'] and not os.path.exists(f'{lives}-{epoch}-{n}'):
                open(f'{lives}-{epoch}-{n}', 'w').close()
                os.kill(os.getpid(), signal.SIGKILL)
    train.report({'epoch': epoch, 'seen': seen, 'rows': sum(map(len, seen.values()))}, checkpoint=train.Checkpoint.from_dict({'seen': seen}))


def undisturbed(dataset):
    return {str(e): [i for b in dataset.iter_batches(batch_size=7, shuffle='window', seed=3, epoch=e) for i in b['id'].tolist()]
            for e in range(3)}


@pytest.mark.parametrize('dies', [[(0, 2)], [(1, 13)], [(0, 36), (1, 4), (2, 30)]], ids=['before the first', 'between', 'thrice'])
def test_a_killed_worker_goes_on_at_the_row_of_its_checkpoint(run_config, tmp_path, dies, capsys):
    ds = hr.range(300, blocks=6).filter('id % 10 != 3')
    result = DataParallelTrainer(
        counting, train_loop_config={'dies': dies, 'lives': str(tmp_path / 'life')}, datasets={'train': ds},
        run_config=run_config(failure_config=FailureConfig(max_failures=3), checkpoint_config=CheckpointConfig(num_to_keep=2))).fit()
    assert result.metrics['seen'] == undisturbed(ds)
    assert result.restarts == len(dies) and capsys.readouterr().out.count('starts its workers again') == len(dies)
    assert result.checkpoint.to_dict()['seen'][2] == undisturbed(ds)['2']
    # The newest two, and the one that the last life began from.
    assert len(result.best_checkpoints) in (2, 3) and result.best_checkpoints[-1][0].path == result.checkpoint.path


def test_a_run_is_resumed_by_another_trainer(run_config, tmp_path):
    ds = hr.range(300, blocks=6)
    config = {'dies': [(1, 20)], 'lives': str(tmp_path / 'life')}
    with pytest.raises(hr.FunctionError):
        DataParallelTrainer(counting, train_loop_config=config, datasets={'train': ds}, run_config=run_config()).fit()
    folder = max((tmp_path / 'run').glob('checkpoint_*'))
    result = DataParallelTrainer(counting, train_loop_config=config, datasets={'train': ds}, run_config=run_config(),
                                 resume_from_checkpoint=Checkpoint(folder)).fit()
    assert result.metrics['seen'] == undisturbed(ds)


def test_sklearn_goes_on_after_a_kill_as_if_nothing_had_been(run_config, tmp_path):
    linear = pytest.importorskip('sklearn.linear_model')
    _, (table, valid) = digits()

    class Dies(linear.SGDClassifier):
        calls, once = 0, str(tmp_path / 'died')

        def partial_fit(self, *args, **options):
            import os
            import signal
            self.calls += 1
            if self.calls == 35 and not os.path.exists(self.once):
                open(self.once, 'w').close()
                os.kill(os.getpid(), signal.SIGKILL)
            return super().partial_fit(*args, **options)
    scores = []
    for kind in (linear.SGDClassifier, Dies):
        config = run_config(failure_config=FailureConfig(max_failures=1), checkpoint_config=CheckpointConfig(checkpoint_frequency=1))
        result = train.SklearnTrainer(kind(random_state=0), label_column='digit', num_epochs=4, batch_size=100,
                                      datasets={'train': table, 'valid': valid}, run_config=config).fit()
        scores.append(result.metrics['valid_score'])
        assert train.SklearnTrainer.get_model(result.checkpoint).coef_.shape == (10, 64)
    assert scores[0] == scores[1] and result.restarts == 1
