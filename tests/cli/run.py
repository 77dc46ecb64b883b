#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tests of the command line: each cases/NAME.sh runs with $HEADRACE set, in an empty folder of its own.

    NAME.stdout.exact     standard output, byte for byte
    NAME.stdout.pattern   a regular expression a line, each must match whole lines in this order ("..." skips any number)
    NAME.stderr.exact, NAME.stderr.pattern       the same of standard error (default: it is empty)
    "# exit N" in the script                     the exit code (default 0)

    run.py EXECUTABLE [NAME...]
"""

import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

CASES = pathlib.Path(__file__).parent / 'cases'
SECONDS_MAX = 60


def plain_signals():
    """A shell that runs the tests in the background ignores SIGINT, and its children would."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)


def mismatch(text, pattern):
    """The first line of the pattern that nothing matches, or None."""
    lines = text.splitlines()
    at, skip = 0, False
    for wanted in pattern.splitlines():
        if wanted == '...':
            skip = True
            continue
        start = at
        while at < len(lines) and skip and not re.fullmatch(wanted, lines[at]):
            at += 1
        if at == len(lines) or not re.fullmatch(wanted, lines[at]):
            return f'nothing from line {start + 1} on matches: {wanted}'
        at, skip = at + 1, False
    if at < len(lines) and not skip:
        return f'line {at + 1} is not expected: {lines[at]}'
    return None


def compare(case, stream, text):
    exact = case.with_suffix(f'.{stream}.exact')
    pattern = case.with_suffix(f'.{stream}.pattern')
    if exact.exists():
        return None if text == exact.read_text() else f'{stream} differs from {exact.name}'
    if pattern.exists():
        wrong = mismatch(text, pattern.read_text())
        return f'{stream}: {wrong}' if wrong else None
    return f'{stream} is not empty' if stream == 'stderr' and text else None


def run(case, executable):
    script = case.read_text()
    code = re.search(r'^# exit (\d+)$', script, re.M)
    with tempfile.TemporaryDirectory() as folder:
        env = dict(os.environ, HEADRACE=executable, TMPDIR=folder, XDG_RUNTIME_DIR=folder)
        try:
            got = subprocess.run(['sh', '-eu', str(case)], cwd=folder, env=env, text=True, capture_output=True,
                                 timeout=SECONDS_MAX, stdin=subprocess.DEVNULL,
                                 preexec_fn=plain_signals)
        except subprocess.TimeoutExpired:
            return [f'did not end within {SECONDS_MAX} s']
        left = [str(p.relative_to(folder)) for p in pathlib.Path(folder).rglob('*') if not p.is_dir()]
    wrong = [w for w in (compare(case, 'stdout', got.stdout), compare(case, 'stderr', got.stderr)) if w]
    if got.returncode != int(code.group(1) if code else 0):
        wrong.append(f'exit code {got.returncode}')
    if left and '# leaves files' not in script:
        wrong.append(f'left behind: {", ".join(left)}')
    if wrong:
        wrong.append(f'--- stdout\n{got.stdout}--- stderr\n{got.stderr}')
    return wrong


def main():
    executable = str(pathlib.Path(sys.argv[1]).resolve())
    cases = sorted(CASES.glob('*.sh'))
    if sys.argv[2:]:
        cases = [c for c in cases if c.stem in sys.argv[2:]]
    failed = 0
    for case in cases:
        wrong = run(case, executable)
        failed += bool(wrong)
        print(f'{"FAIL" if wrong else "ok  "} {case.stem}')
        for line in wrong:
            print('    ' + line.replace('\n', '\n    '))
    print(f'{len(cases) - failed} of {len(cases)} passed')
    return 1 if failed or not cases else 0


if __name__ == '__main__':
    sys.exit(main())
