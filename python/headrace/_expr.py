# SPDX-License-Identifier: Apache-2.0
"""Expressions for Python: columns, literals and functions by name. Operators are the Expr's own."""

from ._core import Expr


def col(name):
    """A column by its name: headrace.col("x") * 2."""
    return Expr.column(name)


def lit(value):
    """A literal: a number, string, truth value or None."""
    return Expr.literal(value)


def where(condition, yes, no):
    """`yes` where the condition is true, else `no` (a null condition is false)."""
    return Expr.call('where', condition, yes, no)


def call(function, *args):
    """A function of the expression language by its name: call("log1p", col("x"))."""
    return Expr.call(function, *args)


def cast(expr, type_name):
    """The expression as another number type, or bool."""
    from . import _types
    return Expr.cast(expr, _types.number_id(type_name))
