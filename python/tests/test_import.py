# SPDX-License-Identifier: Apache-2.0
"""Importing is cheap and imports nobody."""

import time

HEAVY = ('numpy', 'torch', 'pandas', 'pyarrow', 'cloudpickle')


def test_import_brings_no_heavy_package(script):
    done = script(f'import sys, headrace\nprint([m for m in {HEAVY!r} if m in sys.modules])')
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == '[]'


def test_import_takes_less_than_30_ms_beyond_the_interpreter(script):
    def seconds(text):
        times = []
        for _ in range(9):
            began = time.perf_counter()
            assert script(text).returncode == 0
            times.append(time.perf_counter() - began)
        return min(times)
    bare, with_us = seconds('pass'), seconds('import headrace')
    # On a machine that is busy with other things the limit is what is promised on a quiet one, and as much again.
    assert with_us - bare < 0.060, f'{(with_us - bare) * 1e3:.1f} ms'


def test_every_public_name_is_there():
    import headrace
    for name in headrace.__all__:
        assert getattr(headrace, name) is not None
    from headrace import preprocessors, train
    assert train.Trainer and preprocessors.Chain
