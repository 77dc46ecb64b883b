# SPDX-License-Identifier: Apache-2.0
"""Parameter spaces: what may be searched, and the settings that a space gives.

A space is a dict, nested as deep as one likes. grid_search gives a trial for each value, all grids crossed; what draws (choice,
uniform, ...) draws anew for each trial; everything else stays as it is, datasets and functions too.
"""

import math
import random

GRID = 'grid_search'


class Domain:
    """Values to draw from. `parameters` says all of it, for searchers that draw themselves."""

    def __init__(self, kind, **parameters):
        self.kind, self.parameters = kind, parameters

    def sample(self, rng, spec=None):
        return _DRAWS[self.kind](rng, spec, **self.parameters)

    def __repr__(self):
        return f"{self.kind}({', '.join(f'{k}={v!r}' for k, v in self.parameters.items())})"


def grid_search(values):
    """A trial for each of the values."""
    values = list(values)
    if not values:
        raise ValueError('grid_search: at least one value')
    return {GRID: values}


def choice(categories):
    """One of them, each as likely."""
    categories = list(categories)
    if not categories:
        raise ValueError('choice: at least one value')
    return Domain('choice', categories=categories)


def uniform(lower, upper):
    """A float from lower up to upper."""
    return Domain('uniform', lower=_below(lower, upper, 'uniform'), upper=upper)


def quniform(lower, upper, q):
    """A float from lower to upper, in steps of q."""
    if q <= 0:
        raise ValueError(f'quniform: q {q}: more than 0')
    if math.floor(upper / q + 1e-9) < math.ceil(lower / q - 1e-9):
        raise ValueError(f'quniform: no multiple of q {q} is from lower {lower} to upper {upper}')
    return Domain('quniform', lower=_below(lower, upper, 'quniform'), upper=upper, q=q)


def loguniform(lower, upper, base=10):
    """A float whose logarithm is uniform: each power of ten as likely."""
    if lower <= 0:
        raise ValueError(f'loguniform: lower {lower}: more than 0, since logarithms are taken')
    return Domain('loguniform', lower=_below(lower, upper, 'loguniform'), upper=upper)


def randint(lower, upper):
    """An integer from lower up to upper, which is not drawn."""
    return Domain('randint', lower=_below(lower, upper, 'randint'), upper=upper)


def randn(mean=0.0, sd=1.0):
    """A float of the normal distribution."""
    return Domain('randn', mean=mean, sd=sd)


def sample_from(function):
    """What the function returns. It is called with the rest of the trial's setting: spec['x'], or spec.config.x."""
    return Domain('sample_from', function=function)


def _below(lower, upper, name):
    if not lower < upper:
        raise ValueError(f'{name}: lower {lower} must be less than upper {upper}')
    return lower


class Spec(dict):
    """The setting of a trial as sample_from sees it: keys are attributes too, and `config` is itself."""

    def __missing__(self, name):
        raise KeyError(f'sample_from: the setting has no {name!r}; there are {sorted(map(str, self))}')

    def __getattr__(self, name):
        if name == 'config':
            return self
        try:
            value = self[name]
        except KeyError as e:
            raise AttributeError(e.args[0]) from None
        return Spec(value) if isinstance(value, dict) else value


def _quantized(rng, lower, upper, q):
    first, last = math.ceil(lower / q - 1e-9), math.floor(upper / q + 1e-9)
    return round(rng.randint(first, last) * q, 12)


_DRAWS = {
    'choice': lambda rng, spec, categories: rng.choice(categories),
    'uniform': lambda rng, spec, lower, upper: rng.uniform(lower, upper),
    'quniform': lambda rng, spec, lower, upper, q: _quantized(rng, lower, upper, q),
    'loguniform': lambda rng, spec, lower, upper: min(max(math.exp(rng.uniform(math.log(lower), math.log(upper))), lower), upper),
    'randint': lambda rng, spec, lower, upper: rng.randrange(lower, upper),
    'randn': lambda rng, spec, mean, sd: rng.gauss(mean, sd),
    'sample_from': lambda rng, spec, function: function(spec),
}


# --- walking ---

def is_grid(value):
    return isinstance(value, dict) and set(value) == {GRID} and isinstance(value[GRID], (list, tuple))


def leaves(space, path=()):
    """(path, value) of all that is no dict, and of grids and domains, in the order they stand."""
    if isinstance(space, dict) and not is_grid(space):
        for key, value in space.items():
            yield from leaves(value, (*path, key))
    else:
        yield path, space


def domains(space):
    """{path: Domain} of what draws."""
    return {path: value for path, value in leaves(space) if isinstance(value, Domain)}


def grids(space):
    """{path: values} of the grids."""
    return {path: value[GRID] for path, value in leaves(space) if is_grid(value)}


def values_in(space):
    """Everything that may become a value: leaves, and what grids and choices have."""
    for _, value in leaves(space):
        if is_grid(value):
            for item in value[GRID]:
                yield from values_in(item)
        elif isinstance(value, Domain):
            for item in value.parameters.get('categories', ()):
                yield from values_in(item)
        else:
            yield value


def put(setting, path, value):
    """The same setting with another value at a path; what is not on the way is shared."""
    if not path:
        return value
    made = dict(setting)
    made[path[0]] = put(setting.get(path[0], {}), path[1:], value)
    return made


def merged(base, over):
    """base with the values of `over`, dicts within dicts merged."""
    made = dict(base)
    for key, value in over.items():
        both = isinstance(made.get(key), dict) and isinstance(value, dict)
        made[key] = merged(made[key], value) if both else value
    return made


def flat(setting, separator='/'):
    """{'a/b': value}: columns of a table."""
    return {separator.join(map(str, path)): value for path, value in leaves(setting)}


# --- settings ---

def crossed(space):
    """The space once for each combination of grid values; the first grid changes slowest. Grids within grid values count."""
    found = grids(space)
    if not found:
        yield space
        return
    path, values = next(iter(found.items()))
    for value in values:
        yield from crossed(put(space, path, value))


def drawn(space, rng):
    """The space with every domain drawn; those of functions last, since they look at the others."""
    while True:
        found = domains(space)
        if not found:
            return space
        plain = {p: d for p, d in found.items() if d.kind != 'sample_from'}
        for path, domain in (plain or found).items():
            space = put(space, path, domain.sample(rng, Spec(space)))


def round_of(space, rng):
    """Each combination of the grids once, what draws drawn."""
    return [drawn(setting, rng) for setting in crossed(space)]


def settings(space, num_samples, seed=0):
    """All settings of a space: num_samples times each combination of its grids, drawn anew each time."""
    rng = random.Random(seed)
    for _ in range(num_samples):
        yield from round_of(space, rng)
