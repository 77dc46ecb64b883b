#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sums what a folder of test records holds, names what was skipped, unsteady or failed, and ends with one line.

    ci/count.py FOLDER          `N passed, N failed, N skipped`; ends with 1 when anything failed or nothing ran
    ci/count.py --failed FILE   the names of the programs that failed, for a second try

A record is NAME.json (meson's testlog: one object a line, a cmocka program counting for its cases), NAME.xml (pytest's
JUnit file), NAME.again.json and NAME.again.xml (the second try of what failed), or NAME.failed and NAME.skipped (a stage
that could not run, and why).
"""

import glob
import json
import os
import re
import sys
import xml.etree.ElementTree as ET

SKIPPED = 77


def plain_name(name):
    """`unit - project:name` and, of older versions of meson, `project:unit / name`, as `project:name`."""
    if ' / ' in name:
        return name.split(':')[0] + ':' + name.split(' / ')[-1]
    return name.split(' - ')[-1]


def read_meson(path):
    """Yields (name, outcome, cases passed, names of cases skipped)."""
    with open(path, encoding='utf-8') as f:
        for line in f:
            test = json.loads(line)
            text = (test.get('stdout') or '') + '\n' + (test.get('stderr') or '')
            name = plain_name(test['name'])
            if test['result'] == 'SKIP' or test.get('returncode') == SKIPPED:
                outcome = 'skipped'
            else:
                outcome = 'passed' if test['result'] in ('OK', 'EXPECTEDFAIL') else 'failed'
            passed = sum(int(n) for n in re.findall(r'^\[  PASSED  \] (\d+) test', text, re.M))
            skipped = sorted(set(re.findall(r'^\[  SKIPPED \] ([A-Za-z_]\w*)$', text, re.M)))
            yield name, outcome, max(passed, 1), skipped


def read_pytest(path):
    for case in ET.parse(path).getroot().iter('testcase'):
        name = f"{case.get('classname')}::{case.get('name')}"
        skip = case.find('skipped')
        if case.find('failure') is not None or case.find('error') is not None:
            yield name, 'failed', 0, []
        elif skip is not None:
            yield f"{name} ({skip.get('message')})", 'skipped', 0, []
        else:
            yield name, 'passed', 1, []


def read(path):
    return read_meson(path) if path.endswith('.json') else read_pytest(path)


def count(folder):
    passed, failed, skipped = 0, [], []
    for path in sorted(glob.glob(os.path.join(folder, '*.json')) + glob.glob(os.path.join(folder, '*.xml'))):
        stem, kind = os.path.splitext(path)
        stage = os.path.basename(stem)
        if stage.endswith('.again'):
            continue
        again = {}
        if os.path.exists(stem + '.again' + kind):
            again = {name: (outcome, cases) for name, outcome, cases, _ in read(stem + '.again' + kind)}
        for name, outcome, cases, left_out in read(path):
            skipped += [f'{stage}: {name}: {case}' for case in left_out]
            if outcome == 'failed' and again.get(name, ('failed',))[0] == 'passed':
                print(f'unsteady: {stage}: {name} passed on the second try')
                outcome, cases = 'passed', again[name][1]
            if outcome == 'passed':
                passed += cases
            elif outcome == 'failed':
                failed.append(f'{stage}: {name}')
            else:
                skipped.append(f'{stage}: {name}')
    for ending, names in (('failed', failed), ('skipped', skipped)):
        for path in sorted(glob.glob(os.path.join(folder, '*.' + ending))):
            with open(path, encoding='utf-8') as f:
                names.append(f.read().strip())
    for name in skipped:
        print(f'skipped: {name}')
    for name in failed:
        print(f'failed: {name}')
    print(f'{passed} passed, {len(failed)} failed, {len(skipped)} skipped')
    return 1 if failed or not passed else 0


def main():
    if len(sys.argv) == 3 and sys.argv[1] == '--failed':
        print(' '.join(name for name, outcome, _, _ in read(sys.argv[2]) if outcome == 'failed'))
        return 0
    return count(sys.argv[1])


if __name__ == '__main__':
    sys.exit(main())
