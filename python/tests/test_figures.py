# SPDX-License-Identifier: Apache-2.0
"""Figures of several feeds together."""

import numpy as np

from headrace._figures import merged


def figures(delays, batches, wait_s=1.0):
    return {'batches': batches, 'rows': 10 * batches, 'bytes': 80 * batches, 'wait_s': wait_s, 'own_s': 0.0, 'first_batch_s': 0.5,
            'delay_p50_s': 0.0, 'delay_p95_s': 0.0, 'delay_max_s': max(delays, default=0.0), 'delays': delays}


def test_quantiles_weigh_as_many_batches_as_they_stand_for():
    rng = np.random.default_rng(5)
    many, few = rng.exponential(1, 90_000), rng.exponential(5, 10_000)
    at = (np.arange(200) + .5) / 200
    a, b = (figures(np.quantile(x, at).tolist(), len(x)) for x in (many, few))
    made, both = merged(a, b), np.concatenate([many, few])
    assert made['batches'] == 100_000 and made['wait_s'] == 2.0 and len(made['delays']) == 200
    assert made['delays'] == sorted(made['delays']) and made['delay_max_s'] == b['delay_max_s']
    np.testing.assert_allclose(made['delays'][10:190], np.quantile(both, at)[10:190], rtol=0.05)
    assert abs(made['delay_p95_s'] / np.quantile(both, .95) - 1) < 0.1


def test_nothing_and_feeds_that_gave_nothing_change_nothing():
    a, none = figures([1.0, 2.0], 2), figures([], 0)
    assert merged(None, None) is None and merged(a, None) is a and merged(None, a) is a
    assert merged(a, none) is a and merged(none, a) is a
    one = merged(figures([1.0], 1), figures([3.0], 1))
    assert one['delays'] == [1.0, 3.0] and one['rows'] == 20
