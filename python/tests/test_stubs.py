# SPDX-License-Identifier: Apache-2.0
"""The stubs name what the extension has, and nothing else."""

import ast
import os

import headrace
from headrace import _core

STUBS = os.path.join(os.path.dirname(headrace.__file__), '_core.pyi')
IMPLIED = {'__buffer__', '__new__', '__iter__', '__next__'}  # slots that show under no name in Python 3.11, or inherited


def members(node):
    return {n.name for n in node.body if isinstance(n, ast.FunctionDef)}


def test_the_stubs_have_the_names_of_the_module():
    with open(STUBS, encoding='utf-8') as f:
        tree = ast.parse(f.read())
    classes = {n.name: n for n in tree.body if isinstance(n, ast.ClassDef)}
    functions = {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}
    there = {n for n in dir(_core) if not n.startswith('__')}
    assert there == set(classes) | functions
    for name, node in classes.items():
        real = getattr(_core, name)
        if issubclass(real, Exception):
            continue
        public = {m for m in vars(real) if not m.startswith('_')}
        assert public == {m for m in members(node) if not m.startswith('_')}, name
        for member in members(node) - IMPLIED:
            assert hasattr(real, member), f'{name}.{member}'
