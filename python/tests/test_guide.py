# SPDX-License-Identifier: Apache-2.0
"""The guide is true: the Python of each page runs as one script, in a folder with trips/ and nothing else."""

import pathlib
import re

import numpy as np
import pytest

PAGES = sorted((pathlib.Path(__file__).resolve().parents[2] / 'docs' / 'guide').glob('*.md'))
NEEDS = {'torch': 'torch', 'tensorflow': 'tensorflow', 'sklearn': 'sklearn', 'optuna': 'optuna', 'jax': 'jax'}


def snippets(page):
    return re.findall(r'^```python\n(.*?)^```', page.read_text(), re.M | re.S)


@pytest.fixture
def folder_with_trips(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq
    rng = np.random.default_rng(5)
    (tmp_path / 'trips').mkdir()
    for i in range(4):
        distance = rng.gamma(2.0, 2.0, 20_000)
        table = pa.table({'fare': 3 + 2.5 * distance + rng.normal(0, 1, len(distance)), 'distance': distance,
                          'passengers': rng.integers(1, 7, len(distance)), 'tip': rng.integers(0, 2, len(distance))})
        pq.write_table(table, tmp_path / 'trips' / f'part-{i}.parquet', row_group_size=10_000)
    return tmp_path


@pytest.mark.parametrize('page', [p for p in PAGES if snippets(p)], ids=lambda p: p.stem)
def test_the_python_of_a_page_runs(page, folder_with_trips, script, monkeypatch):
    text = '\n'.join(snippets(page))
    for word, package in NEEDS.items():
        if re.search(rf'^\s*(import|from) {word}\b', text, re.M):
            pytest.importorskip(package)
    monkeypatch.chdir(folder_with_trips)
    done = script(text)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_index_names_every_page():
    index = next(p for p in PAGES if p.stem == 'README').read_text()
    assert set(re.findall(r'\]\((\w+\.md)\)', index)) == {p.name for p in PAGES if p.stem != 'README'}
