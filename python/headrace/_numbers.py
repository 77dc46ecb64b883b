# SPDX-License-Identifier: Apache-2.0
"""Numbers as users give them, checked where they enter: what is wrong is said by the name that it was given under."""

import operator


def whole(name, value, *, least=None):
    """A whole number, of at least `least`; NumPy's count too."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f'{name} {value!r:.100}: a whole number') from None
    if least is not None and number < least:
        raise ValueError(f'{name} {number}: at least {least}')
    if number >= 1 << 64:
        raise ValueError(f'{name} {number}: below 2**64')
    return number


def optional(name, value, *, least=None):
    """The same, or 0 where none was given: the default of the library."""
    return 0 if value is None else whole(name, value, least=least)


def seed_of(value):
    """A seed, 64 bits; None is the default, 0. Others are refused: two that differ must not give one order."""
    return optional('seed', value, least=0)
