# SPDX-License-Identifier: Apache-2.0
"""The parts of an experiment, without workers: spaces, schedulers, searchers, results, tables, what is kept on disk."""

import io
import math
import os
import pickle
import random
import sys

import pytest

import headrace as hr
from headrace import tune
from headrace.train import DataParallelTrainer, Result, ScalingConfig, TorchTrainer
from headrace.tune import maker, schedulers, search, sharing, space, state, table, trial


# --- spaces ---

def test_grids_are_crossed_and_repeated():
    got = list(space.settings({'a': tune.grid_search([1, 2]), 'b': {'c': tune.grid_search(['x', 'y']), 'd': 7}}, 2))
    once = [{'a': a, 'b': {'c': c, 'd': 7}} for a in (1, 2) for c in ('x', 'y')]
    assert got == once + once


def test_a_grid_of_grids_and_draws():
    got = list(space.settings({'m': tune.grid_search([{'kind': 'a', 'n': tune.grid_search([1, 2])},
                                                      {'kind': 'b', 'n': tune.randint(5, 6)}])}, 1))
    assert got == [{'m': {'kind': 'a', 'n': 1}}, {'m': {'kind': 'a', 'n': 2}}, {'m': {'kind': 'b', 'n': 5}}]


@pytest.mark.parametrize('domain, holds', [
    (tune.uniform(-1, 2), lambda v: -1 <= v <= 2), (tune.loguniform(1e-4, 1e-1), lambda v: 1e-4 <= v <= 1e-1),
    (tune.randint(3, 6), lambda v: v in (3, 4, 5)), (tune.choice(['a', 'b']), lambda v: v in ('a', 'b')),
    (tune.quniform(0.1, 0.55, 0.1), lambda v: v in (0.1, 0.2, 0.3, 0.4, 0.5)), (tune.randn(), math.isfinite)], ids=repr)
def test_draws_stay_in_bounds_and_repeat(domain, holds):
    values = [s['x'] for s in space.settings({'x': domain}, 300, seed=3)]
    assert all(holds(v) for v in values) and len(set(values)) > 1
    assert values == [s['x'] for s in space.settings({'x': domain}, 300, seed=3)]
    assert values != [s['x'] for s in space.settings({'x': domain}, 300, seed=4)]


def test_loguniform_gives_each_power_of_ten_its_share():
    values = [s['x'] for s in space.settings({'x': tune.loguniform(1e-3, 1)}, 3000)]
    for low in (1e-3, 1e-2, 1e-1):
        assert 900 < sum(low <= v < 10 * low for v in values) < 1100


def test_sample_from_sees_the_rest_of_the_setting():
    got = next(space.settings({'a': {'n': tune.randint(4, 5)}, 'b': tune.sample_from(lambda spec: spec.config.a.n * 2),
                               'c': tune.sample_from(lambda spec: spec['a']['n'] + 1)}, 1))
    assert (got['b'], got['c']) == (8, 5)
    for wrong, error in ((lambda spec: spec['q'], KeyError), (lambda spec: spec.config.q, AttributeError)):
        with pytest.raises(error, match="the setting has no 'q'; there are"):
            next(space.settings({'a': 1, 'b': tune.sample_from(wrong)}, 1))


@pytest.mark.parametrize('make', [lambda: tune.grid_search([]), lambda: tune.choice([]), lambda: tune.uniform(2, 2),
                                  lambda: tune.loguniform(0, 1), lambda: tune.randint(5, 4), lambda: tune.quniform(0, 1, 0),
                                  lambda: tune.quniform(0.1, 0.2, 0.5)])
def test_empty_spaces_are_refused(make):
    with pytest.raises(ValueError):
        make()


# --- schedulers ---

def report(scheduler, trial_id, time, value):
    return scheduler.on_trial_result(trial_id, {'training_iteration': time, 'time_total_s': time, 'loss': value})


def test_asha_decides_as_computed_by_hand():
    """Rungs at 1 and 3 (of 9), the best third goes on: cutoff = the 2/3 quantile of -loss of those before at the rung."""
    asha = tune.ASHAScheduler(metric='loss', mode='min', max_t=9, grace_period=1, reduction_factor=3)
    assert report(asha, 'a', 1, 5.0) == 'CONTINUE'  # nobody was there
    assert report(asha, 'b', 1, 6.0) == 'STOP'      # cutoff -5
    assert report(asha, 'c', 1, 4.0) == 'CONTINUE'  # cutoff of (-6, -5) at 2/3: -5.33
    assert report(asha, 'd', 1, 4.9) == 'STOP'      # cutoff of (-6, -5, -4): at 1.33 of the ranks: -4.667
    assert report(asha, 'a', 2, 9.0) == 'CONTINUE'  # between rungs nobody is judged
    assert report(asha, 'a', 3, 2.0) == 'CONTINUE'  # the first at rung 3
    assert report(asha, 'c', 3, 2.5) == 'STOP'      # cutoff -2
    assert report(asha, 'a', 4, 99.0) == 'CONTINUE'
    assert report(asha, 'a', 9, 0.0) == 'STOP'      # max_t


def test_asha_judges_at_the_highest_rung_passed_and_keeps_its_state():
    asha = tune.ASHAScheduler(metric='loss', mode='max', max_t=100, grace_period=2, reduction_factor=4)
    assert [m for m, _ in asha._ladders[0]] == [32, 8, 2]
    assert report(asha, 'a', 10, 1.0) == 'CONTINUE'  # rung 8, not 2
    again = pickle.loads(pickle.dumps(asha))
    for scheduler in (asha, again):
        assert report(scheduler, 'b', 9, 0.5) == 'STOP'
        assert report(scheduler, 'c', 2, 0.1) == 'CONTINUE'  # first at rung 2
        assert report(scheduler, 'c', 3, -9.0) == 'CONTINUE'


def test_asha_brackets_begin_later():
    asha = tune.ASHAScheduler(metric='loss', mode='min', max_t=64, grace_period=1, reduction_factor=4, brackets=3, seed=1)
    assert [[m for m, _ in ladder] for ladder in asha._ladders] == [[64, 16, 4, 1], [64, 16, 4], [64, 16]]
    for i in range(60):
        report(asha, i, 0, 1.0)
    assert set(asha._of_trial.values()) == {0, 1, 2}


def test_median_stopping_decides_as_computed_by_hand():
    rule = tune.MedianStoppingRule(metric='loss', mode='min', grace_period=2, min_samples_required=2)
    for name, values in (('a', (9, 3, 1)), ('b', (9, 5, 3))):
        for time, value in enumerate(values, 1):
            assert report(rule, name, time, value) == 'CONTINUE'
    assert report(rule, 'c', 1, 99) == 'CONTINUE'  # grace
    # At time 2 the others' means of times 2..2 are 3 and 5: their median is 4.
    assert report(rule, 'c', 2, 4.5) == 'STOP'
    assert report(rule, 'd', 1, 3.5) == 'CONTINUE'  # grace, but its best counts from the start
    assert report(rule, 'd', 2, 4.5) == 'CONTINUE'
    assert report(rule, 'd', 3, 4.5) == 'STOP'  # means of times 2..3: a 2, b 4: the median 3 is better than 3.5


def test_median_stopping_needs_others_that_came_as_far():
    rule = tune.MedianStoppingRule(metric='loss', mode='max', grace_period=0, min_samples_required=2)
    assert report(rule, 'a', 1, 10) == report(rule, 'b', 1, -10) == 'CONTINUE'  # one other each
    for name in 'ab':
        report(rule, name, 9, 10)
    assert report(rule, 'c', 1, -99) == 'STOP'
    assert report(rule, 'd', 10, -99) == 'CONTINUE'  # nobody came to 10
    with pytest.raises(ValueError, match='paused'):
        tune.MedianStoppingRule(hard_stop=False)


def test_nan_is_worst():
    asha = tune.ASHAScheduler(metric='loss', mode='min', max_t=9, grace_period=1, reduction_factor=3)
    assert report(asha, 'a', 1, math.nan) == 'CONTINUE'  # nobody to compare with
    assert report(asha, 'b', 1, 1e9) == 'CONTINUE'
    assert report(asha, 'c', 1, math.nan) == 'STOP'


def test_a_scheduler_names_the_metric_it_misses():
    with pytest.raises(ValueError, match="needs the metric 'accuracy'.*loss"):
        report(tune.ASHAScheduler(metric='accuracy', mode='max'), 'a', 1, 0.0)
    with pytest.raises(ValueError, match='needs to know what is good'):
        tune.Tuner(lambda config: None, tune_config=tune.TuneConfig(scheduler=tune.ASHAScheduler())).fit()
    assert schedulers.quantile([1, 2, 3, 4], 0.5) == 2.5 and schedulers.quantile([7], 0.9) == 7


# --- searchers ---

def test_the_basic_searcher_goes_on_after_a_restore():
    def made():
        searcher = tune.BasicVariantGenerator(random_state=5, points_to_evaluate=[{'x': 0.5}])
        searcher.prepare({'x': tune.uniform(0, 1), 'g': tune.grid_search([1, 2])}, 2)
        return searcher
    first = made()
    got = [first.suggest(str(i)) for i in range(5)]
    assert first.total() == 4 and got[4] == search.FINISHED and got[0] == {'x': 0.5, 'g': 1}
    second = pickle.loads(pickle.dumps(made()))
    second.restored(2)
    assert [second.suggest('2'), second.suggest('3')] == got[2:4]


def test_a_limiter_counts_those_that_run():
    searcher = tune.BasicVariantGenerator()
    searcher.prepare({'x': tune.grid_search([1, 2, 3])}, 1)
    limiter = tune.ConcurrencyLimiter(searcher, 2)
    assert [limiter.suggest(c) for c in 'abc'] == [{'x': 1}, {'x': 2}, None]
    limiter.on_trial_complete('a')
    assert limiter.suggest('c') == {'x': 3}


def test_optuna_learns_and_is_kept():
    pytest.importorskip('optuna')
    searcher = tune.OptunaSearch(seed=1, points_to_evaluate=[{'x': 1.5, 'n': {'k': 'b'}}])
    searcher.set_search_properties('loss', 'min', {'x': tune.uniform(0, 4), 'n': {'k': tune.choice(['a', 'b']), 'fixed': len},
                                                   'i': tune.randint(0, 3), 'y': tune.sample_from(lambda s: s.config.x + 1)})
    best = math.inf
    for i in range(30):
        got = searcher.suggest(i)
        assert 0 <= got['x'] <= 4 and got['n']['k'] in 'ab' and got['n']['fixed'] is len and got['i'] in (0, 1, 2)
        assert got['y'] == got['x'] + 1
        if i == 0:
            assert (got['x'], got['n']['k']) == (1.5, 'b')
        loss = (got['x'] - 2) ** 2
        best = min(best, loss)
        searcher.on_trial_complete(i, None if i == 7 else {'loss': loss}, error=i == 7)
    assert best < 0.01 and len(searcher._study.trials) == 30
    for nothing in (math.nan, 'abc', None):  # no warning, no error: nothing is learned
        searcher.suggest(f'{nothing}')
        searcher.on_trial_complete(f'{nothing}', {'loss': nothing})
        assert searcher._study.trials[-1].state.name == 'FAIL'
    cloudpickle = pytest.importorskip('cloudpickle')
    again = pickle.loads(cloudpickle.dumps(searcher))
    assert len(again._study.trials) == 33 and 0 <= again.suggest('new')['x'] <= 4


def test_optuna_says_what_it_needs(monkeypatch):
    optuna = pytest.importorskip('optuna')
    with pytest.raises(ValueError, match='g is a grid_search'):
        tune.OptunaSearch().set_search_properties('loss', 'min', {'x': tune.uniform(0, 1), 'g': tune.grid_search([1])})
    with pytest.raises(ValueError, match='nothing to search'):
        tune.OptunaSearch().set_search_properties('loss', 'min', {'x': 1})
    with pytest.raises(ValueError, match='what is good'):
        tune.OptunaSearch().set_search_properties(None, None, {'x': tune.uniform(0, 1)})
    with pytest.raises(ValueError, match='seed'):
        tune.OptunaSearch(sampler=optuna.samplers.RandomSampler(), seed=1)
    monkeypatch.setitem(sys.modules, 'optuna', None)
    with pytest.raises(ImportError, match='pip install optuna'):
        tune.OptunaSearch()


# --- trainers of trials ---

def loop(config):
    return None


def test_settings_are_merged_over_what_a_trainer_was_given():
    trainer = DataParallelTrainer(loop, train_loop_config={'a': 1, 'deep': {'b': 2}}, scaling_config=ScalingConfig(num_workers=1),
                                  datasets={'train': hr.range(10)})
    other = hr.range(5)
    got = maker.Maker(trainer, {}).trainer({'train_loop_config': {'deep': {'c': 3}}, 'scaling_config': {'num_workers': 2},
                                            'datasets': {'test': other}})
    assert got.train_loop_config == {'a': 1, 'deep': {'b': 2, 'c': 3}} and got.train_loop_per_worker is loop
    assert got.scaling_config.num_workers == 2 and got.datasets == {**trainer.datasets, 'test': other}
    assert trainer.train_loop_config == {'a': 1, 'deep': {'b': 2}} and 'test' not in trainer.datasets


def test_arguments_that_go_on_to_the_base_are_known():
    trainer = TorchTrainer(loop, datasets={'train': hr.range(4)})
    got = maker.Maker(trainer, {}).trainer({'torch_config': 3, 'worker_idle_s': 9.0})
    assert (got.torch_config, got.worker_idle_s, got.train_loop_per_worker) == (3, 9.0, loop)
    with pytest.raises(ValueError, match="'lr', which is no argument of TorchTrainer.*train_loop_config"):
        tune.Tuner(trainer, param_space={'lr': 1})


@pytest.mark.parametrize('trainable', [DataParallelTrainer, 7, None], ids=repr)
def test_other_trainables_are_refused(trainable):
    with pytest.raises(TypeError, match='a trainer .*or a function'):
        tune.Tuner(trainable)


@pytest.mark.parametrize('options', [{'mode': 'best'}, {'num_samples': 0}, {'num_samples': -1}, {'max_concurrent_trials': 0}])
def test_configurations_that_make_no_sense(options):
    with pytest.raises(ValueError):
        tune.TuneConfig(**options)


@pytest.mark.parametrize('options', [{'num_samples': None}, {'num_samples': 1.5}, {'max_concurrent_trials': 'two'}])
def test_numbers_of_a_configuration_are_whole(options):
    with pytest.raises(TypeError, match=f'{next(iter(options))} .*a whole number'):
        tune.TuneConfig(**options)


def test_a_space_that_is_none_is_refused():
    with pytest.raises(TypeError, match='param_space .*a dict'):
        tune.Tuner(loop, param_space=[1, 2])
    for hidden in ([hr.range(3)], tune.grid_search([(hr.range(3),)]), tune.choice([[1], [hr.range(3)]])):
        with pytest.raises(TypeError, match='a dataset within a .*, at a/b'):
            tune.Tuner(loop, param_space={'a': {'b': hidden}})


# --- results ---

def result(metrics, history=(), error=None):
    return Result(metrics, list(history), [], 0.0, 0, {}, error=error, config={'lr': {'a': metrics.get('loss')}})


def test_the_best_result():
    grid = tune.ResultGrid([result({'loss': 3.0}, [{'loss': 0.5}, {'loss': 3.0}]), result({'loss': 1.0}),
                            result({'loss': math.nan}), result({'loss': -9.0}, error=RuntimeError('x')), result({})],
                           metric='loss', mode='min')
    assert grid.get_best_result() is grid[1] and grid.get_best_result(mode='max') is grid[0]
    assert grid.get_best_result(scope='all') is grid[0]
    assert len(grid) == 5 and grid.num_errors == 1 and list(grid)[3].error is grid.errors[0]
    with pytest.raises(tune.TuneError, match="metric 'accuracy'.*RuntimeError"):
        grid.get_best_result('accuracy', 'max')
    with pytest.raises(tune.TuneError, match="'name' is 'abc'.*a number is needed"):
        tune.ResultGrid([result({'name': 'abc'}), result({})]).get_best_result('name', 'max')
    with pytest.raises(ValueError, match='a metric and a mode'):
        tune.ResultGrid([result({}), result({})]).get_best_result()


def test_the_dataframe_of_results():
    pytest.importorskip('pandas')
    grid = tune.ResultGrid([result({'loss': 3.0, 'n': 2}, [{'loss': 0.5, 'n': 1}]), result({'loss': 1.0}, error=ValueError('no'))],
                           metric='loss', mode='min')
    frame = grid.get_dataframe()
    assert frame['loss'].tolist() == [3.0, 1.0] and frame['config/lr/a'].tolist() == [3.0, 1.0]
    assert frame['error'].tolist()[1] == 'ValueError: no' and frame['error'].isna().tolist() == [True, False]
    assert grid.get_dataframe(filter_metric='loss')['n'].tolist()[0] == 1


# --- the table ---

class Terminal(io.StringIO):
    def isatty(self):
        return True


def trials():
    made = [trial.Trial(i, f't_{i}', '', {'lr': 0.1 * i, 'f': loop, 'same': 1}) for i in range(3)]
    made[0].status, made[0].metrics = 'RUNNING', {'loss': 0.25, 'other': 1, 'name': 'x'}
    made[1].status, made[1].stopped_by = 'TERMINATED', 'ASHA'
    return made


def test_a_terminal_is_drawn_over():
    to, made = Terminal(), trials()
    shown = table.Table(made, metric='loss', stream=to)
    shown.tick()
    lines = to.getvalue().splitlines()
    assert '1 PENDING, 1 RUNNING, 1 TERMINATED' in lines[0] and 'loss' in lines[1] and 'same' not in lines[1]
    assert '0.25' in lines[3] and 'TERMINATED (ASHA)' in lines[4]
    shown.line('words')
    assert to.getvalue().endswith(f'\x1b[{len(lines)}A\x1b[Jwords\n')
    shown.ended(made[1])
    assert to.getvalue().endswith('words\n')
    assert len(shown.text(rows_max=1)) == 4 and '(2 not shown)' in shown.text(rows_max=1)[0]


def test_a_pipe_has_a_line_a_trial_and_verbose_0_nothing():
    to, made = io.StringIO(), trials()
    shown = table.Table(made, metric='loss', stream=to)
    shown.tick()
    shown.waits('x waits for y')
    shown.waits('x waits for y')
    shown.ended(made[1])
    shown.final()
    lines = to.getvalue().splitlines()
    assert lines[0] == 'headrace: x waits for y' and lines[1].startswith('headrace: t_1 TERMINATED (ASHA) after')
    assert lines[2].startswith('3 trials: ') and len(lines) == 2 + 6 and '\x1b' not in to.getvalue()
    to = io.StringIO()
    shown = table.Table(made, verbose=0, stream=to)
    shown.say('x'), shown.ended(made[1]), shown.tick(), shown.final()
    assert to.getvalue() == ''


# --- on disk ---

def test_datasets_are_kept_by_name():
    pytest.importorskip('cloudpickle')
    train, other = hr.range(3), hr.range(4)
    names = state.Names({'train': train}, {'datasets': {'test': tune.grid_search([other, len])}})
    data = names.dumps({'a': train, 'b': [other], 'f': lambda: 5})
    got = names.loads(data)
    assert got['a'] is train and got['b'][0] is other and got['f']() == 5
    with pytest.raises(state.MissingDataset, match='datasets/train.*Tuner.restore'):
        state.Names({}, {}).loads(data)
    with pytest.raises(pickle.PicklingError):
        names.dumps(hr.range(1))


def test_a_folder_has_one_owner_and_whole_files(tmp_path):
    folder = state.Folder(tmp_path / 'e')
    with pytest.raises(RuntimeError, match='another process'):
        state.Folder(tmp_path / 'e')
    folder.write_json('x.json', {'a': 1, 'f': loop})
    folder.close()
    state.Folder(tmp_path / 'e').close()
    assert state.read_json(tmp_path / 'e' / 'x.json')['a'] == 1 and not os.path.exists(tmp_path / 'e' / 'x.json.new')
    with pytest.raises(FileNotFoundError, match='no experiment'):
        tune.Tuner.restore(tmp_path / 'e')


def test_reports_are_cut_to_a_checkpoint(tmp_path):
    (tmp_path / 'metrics.jsonl').write_text('{"i": 1}\n{"i": 2}\n{"i": 3')
    assert state.read_metrics(tmp_path) == [{'i': 1}, {'i': 2}]
    assert state.cut_metrics(tmp_path, 1) == state.read_metrics(tmp_path) == [{'i': 1}]


# --- sharing ---

def test_a_kept_dataset_is_read_once_and_a_streamed_one_each_time(tmp_path):
    pytest.importorskip('numpy')
    hr.range(1000).write_parquet(tmp_path, file_rows=300)
    first, second, lines = hr.range(1000), hr.range(100), []
    shared = sharing.Sharing(state.Names({'a': first, 'b': second}, {}), lines.append)
    made = trials()
    for t in made:
        for _ in range(2):
            assert shared.dataset_of(t, 'a', first).materialize().count() == 1000
            shared.dataset_of(t, 'b', second, streamed=True).materialize()
    got = shared.figures(made)
    assert got['datasets/a'].reads == 1 and got['datasets/a'].rows_read == 1000 and got['datasets/a'].trials == 3
    assert got['datasets/b'].reads == 6
    later = sharing.Sharing(state.Names({'a': hr.read_parquet(tmp_path)}, {}), lines.append, got)  # restored, and nobody read again
    assert later.figures([])['datasets/a'].reads == 1
    assert [line for line in lines if 'read once for all trials' in line] == lines and len(lines) == 1


def test_what_python_makes_is_made_once():
    pd = pytest.importorskip('pandas')
    from headrace.preprocessors import BatchMapper, Chain, StandardScaler
    data, lines = hr.range(1000).map('x = id % 10'), []
    shared = sharing.Sharing(state.Names({'train': data}, {}), lines.append)

    def tangled(frame):
        return pd.DataFrame({'x': sorted(frame['x'])})
    preprocessor = Chain(BatchMapper(tangled), StandardScaler(['x']))
    got = []
    for t in trials():
        mine = {'train': shared.dataset_of(t, 'train', data)}
        fitted = shared.preprocessor_of(preprocessor, 'train', mine, ['train'])
        got.append(fitted.transform(mine['train']))
        assert fitted.fit_status() is fitted.FitStatus.FITTED and repr(fitted) == repr(preprocessor)
    assert got[0] is got[1] is got[2] and got[0].is_fully_executed() and abs(got[0].to_pandas()['x'].mean()) < 1e-9
    assert preprocessor.fit_status() is not fitted.FitStatus.FITTED  # the user's own is left alone
    assert [w for w in ('fitted once', 'transformed once') if not any(w in line for line in lines)] == []
    assert type(pickle.loads(pytest.importorskip('cloudpickle').dumps(fitted))) is Chain
    assert shared.figures([])['datasets/train'].reads == 1


def test_a_function_is_counted_in_each_trial():
    calls, made = [], trials()
    shared = sharing.Sharing(state.Names({}, {}), print)

    def make():
        calls.append(1)
        return hr.range(50)
    for t in made:
        shared.dataset_of(t, 'train', make).materialize().count()
        shared.trial_ended(t)
    assert len(calls) == 3
    assert dict(shared.figures(made)['train: make']) == {'reads': 3, 'rows': 150, 'rows_read': 150, 'bytes_read': 1200, 'trials': 3,
                                                         'calls': 3, 'shared': False}


def test_random_settings_do_not_depend_on_the_programs_own_draws():
    random.seed(1)
    first = list(space.settings({'x': tune.uniform(0, 1)}, 3))
    random.seed(2)
    assert list(space.settings({'x': tune.uniform(0, 1)}, 3)) == first
