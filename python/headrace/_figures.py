# SPDX-License-Identifier: Apache-2.0
"""What reading feeds cost: figures of one, with quantiles of its delays, and of several together."""

_QUANTILES = 200
_SUMS = ('batches', 'rows', 'bytes', 'wait_s')


def of_feed(feed):
    """What reading it cost, with quantiles of its delays."""
    return {**feed.stats(), 'delays': feed.delays(_QUANTILES)}


def merged(a, b):
    """Of two feeds, the earlier one first. None: of none."""
    if a is None or b is None or not b['batches']:
        return a or b
    if not a['batches']:
        return b
    made = {**a, **{k: a[k] + b[k] for k in _SUMS}, 'delay_max_s': max(a['delay_max_s'], b['delay_max_s'])}
    weighed = sorted((x, of['batches'] / len(of['delays'])) for of in (a, b) for x in of['delays'])
    made['delays'] = _resampled(weighed, min(_QUANTILES, len(weighed)))
    made['delay_p50_s'], made['delay_p95_s'] = (made['delays'][int(q * (len(made['delays']) - 1))] for q in (.5, .95))
    return made


def _resampled(weighed, count):
    total, passed, out = sum(w for _, w in weighed), 0.0, []
    for x, weight in weighed:
        passed += weight
        while len(out) < count and (len(out) + .5) / count * total <= passed:
            out.append(x)
    return out + [weighed[-1][0]] * (count - len(out))  # what rounding left
