# SPDX-License-Identifier: Apache-2.0
"""The table: names of Ray AIR, of the seed's era (ray.ml, May 2022) and of 2.0, and what they are here.

An era is entered by importing from it: ray.ml names the tensor column "value" and counts runtime_seconds; ray.air, ray.train
and ray.data.preprocessors name it "__value__" and count num_epochs; a script of neither gets "data", as headrace itself. What
a script imports is looked up before it starts, since it may make data before it imports a trainer.
"""

import ast

# module -> {name: where it is in era.py}; a name alone stands for itself.
_PREPROCESSORS = ['Preprocessor', 'BatchMapper', 'Chain', 'StandardScaler', 'PreprocessorNotFittedException']
_DATA = ['Dataset', 'DatasetPipeline', 'range', 'range_table', 'range_tensor', 'from_items', 'from_numpy', 'from_arrow',
         'from_pandas', 'read_parquet', 'read_parquet_bulk']
_SESSION = {'report': 'session_report', 'get_dataset_shard': 'get_dataset_shard', 'get_world_rank': 'world_rank',
            'get_world_size': 'world_size', 'get_local_rank': 'world_rank', 'get_checkpoint': 'get_checkpoint'}
_CONFIGS = ['ScalingConfig', 'RunConfig', 'FailureConfig', 'CheckpointConfig', 'DatasetConfig']
_SPACE = ['choice', 'grid_search', 'loguniform', 'quniform', 'randint', 'randn', 'sample_from', 'uniform']
_SCHEDULERS = ['ASHAScheduler', 'AsyncHyperBandScheduler', 'FIFOScheduler', 'MedianStoppingRule', 'TrialScheduler']
_SEARCH = ['BasicVariantGenerator', 'ConcurrencyLimiter', 'OptunaSearch', 'Searcher']


def _same(items):
    return {name: name for name in items}


_TUNE = _same(['Tuner', 'TuneConfig', 'ResultGrid', 'TuneError', 'with_parameters', 'with_resources', *_SPACE, *_CONFIGS])

MODULES = {
    'ray': {'init': 'init', 'shutdown': 'shutdown', 'is_initialized': 'is_initialized', 'put': 'identity',
            'get': 'identity', '__version__': 'version'},
    'ray.data': _same(_DATA),
    'ray.data.dataset': _same(['Dataset']),
    'ray.data.dataset_pipeline': _same(['DatasetPipeline']),
    'ray.data.read_api': _same([n for n in _DATA if not n.startswith('Dataset')]),
    'ray.data.preprocessor': _same(['Preprocessor', 'PreprocessorNotFittedException']),
    'ray.data.preprocessors': _same(_PREPROCESSORS),
    'ray.ml': _same(['Preprocessor']),
    'ray.ml.preprocessor': _same(['Preprocessor', 'PreprocessorNotFittedException']),
    'ray.ml.preprocessors': _same(_PREPROCESSORS),
    'ray.ml.checkpoint': _same(['Checkpoint']),
    'ray.ml.config': _same(['ScalingConfig', 'RunConfig', 'FailureConfig']),
    'ray.ml.utils': {},
    'ray.ml.utils.check_ingest': {'DummyTrainer': 'SeedDummyTrainer'},
    'ray.ml.util': {},
    'ray.ml.util.check_ingest': {'DummyTrainer': 'SeedDummyTrainer'},
    'ray.ml.train': {},
    'ray.ml.train.data_parallel_trainer': {'DataParallelTrainer': 'DataParallelTrainer'},
    'ray.air': _same([*_CONFIGS, 'Checkpoint', 'Result']),
    'ray.air.checkpoint': _same(['Checkpoint']),
    'ray.air.config': _same(_CONFIGS),
    'ray.air.result': _same(['Result']),
    'ray.air.session': _SESSION,
    'ray.air.util': {},
    'ray.air.util.check_ingest': {'DummyTrainer': 'AirDummyTrainer'},
    'ray.train': {**_SESSION, 'report': 'train_report', 'world_rank': 'world_rank', 'world_size': 'world_size',
                  'local_rank': 'world_rank', 'DataParallelTrainer': 'DataParallelTrainer',
                  **_same([*_CONFIGS, 'Checkpoint', 'Result', 'save_checkpoint', 'load_checkpoint'])},
    'ray.train.data_parallel_trainer': {'DataParallelTrainer': 'DataParallelTrainer'},
    'ray.tune': {**_TUNE, 'report': 'train_report'},
    'ray.tune.tuner': _same(['Tuner', 'TuneConfig']),
    'ray.tune.tune_config': _same(['TuneConfig']),
    'ray.tune.result_grid': _same(['ResultGrid']),
    'ray.tune.error': _same(['TuneError']),
    'ray.tune.schedulers': _same(_SCHEDULERS),
    'ray.tune.schedulers.async_hyperband': _same(['ASHAScheduler', 'AsyncHyperBandScheduler']),
    'ray.tune.schedulers.median_stopping_rule': _same(['MedianStoppingRule']),
    'ray.tune.search': _same(_SEARCH),
    'ray.tune.search.basic_variant': _same(['BasicVariantGenerator']),
    'ray.tune.search.optuna': _same(['OptunaSearch']),
    'ray.tune.search.sample': _same(_SPACE),
    'ray.tune.suggest': _same(_SEARCH),
    'ray.tune.suggest.basic_variant': _same(['BasicVariantGenerator']),
    'ray.tune.suggest.optuna': _same(['OptunaSearch']),
    'ray.train.torch': _same(['TorchTrainer', 'TorchConfig', 'prepare_model', 'get_device']),
    'ray.train.tensorflow': _same(['TensorflowTrainer']),
    'ray.internal': {},
    'ray.internal.internal_api': {'memory_summary': 'memory_summary'},
    'ray._private': {},
    'ray._private.internal_api': {'memory_summary': 'memory_summary'},
}

# What to use instead, by the start of the name; the longest that fits is told.
INSTEAD = {
    'ray.tune': 'Tuner(trainable, param_space=..., tune_config=TuneConfig(...)).fit() runs trials; what else there is stands in '
                'headrace/tune/',
    'ray.air.util.check_ingest': 'DummyTrainer(datasets={"train": ...}).fit() reads the dataset as a trainer would',
    'ray.ml.utils.check_ingest': 'DummyTrainer(datasets={"train": ...}).fit() reads the dataset as a trainer would',
    'ray.data.read_csv': 'convert the files to Parquet, then read_parquet',
    'ray.data.read_json': 'convert the files to Parquet, then read_parquet',
    'ray.data.read_images': 'store the arrays as lists of numbers in Parquet, then read_parquet',
    'ray.data': 'headrace.Dataset has what is there: python -c "import headrace; help(headrace.Dataset)"',
    'ray.data.Dataset.map': 'map_batches takes a function of whole batches, and is much faster',
    'ray.data.Dataset.flat_map': 'map_batches may return any number of rows',
    'ray.data.DatasetPipeline': 'what there is stands in headrace/pipeline.py',
    'ray.data.context': 'blocks and budget need no settings: headrace.init(memory_bytes=...) has the budget',
    'ray.data.preprocessors': 'BatchMapper, Chain and StandardScaler are there; others as a BatchMapper',
    'ray.ml.preprocessors': 'BatchMapper, Chain and StandardScaler are there; others as a BatchMapper',
    'ray.train': 'headrace.train.Trainer runs a training loop in workers that are fed by headrace',
    'ray.ml.train': 'DataParallelTrainer of ray.ml.train.data_parallel_trainer runs a training loop in workers',
    'ray.remote': 'headrace runs ingest alone: tasks and actors need Ray itself',
    'ray.wait': 'headrace runs ingest alone: tasks and actors need Ray itself',
    'ray': 'the names that there are stand in headrace/compat/names.py',
}


def is_module(fullname):
    return fullname in MODULES


def missing(fullname):
    hint = max((k for k in INSTEAD if fullname == k or fullname.startswith(k + '.')), key=len)
    return f'headrace.compat has no {fullname}: {INSTEAD[hint]}'


def lookup(module, name):
    """The object of a name, or None."""
    if f'{module}.{name}' in MODULES:
        import importlib
        return importlib.import_module(f'{module}.{name}')
    where = MODULES[module].get(name)
    if where is None:
        return None
    from . import era
    return era.version() if where == 'version' else getattr(era, where)


def era_of(module):
    """The era that an import of a module speaks of, or None."""
    if module == 'ray.ml' or module.startswith('ray.ml.'):
        return 'seed'
    if module.startswith(('ray.air', 'ray.train', 'ray.data.preprocessor')):
        return 'air'
    return None


def entered(module):
    """A script imported this: what is named differently follows its era."""
    from . import era
    era.enter(era_of(module))


def enter_script(path):
    """Looks up what a script imports, before it runs. What cannot be read or parsed is for Python to tell."""
    try:
        with open(path, 'rb') as file:
            tree = ast.parse(file.read())
    except (OSError, SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            modules = [f'{node.module}.{alias.name}' for alias in node.names]
        else:
            continue
        for module in modules:
            entered(module)
