#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The promise of include/headrace, held by the library.

Each public header compiles alone, as C and as C++, without a warning; the shared library exports every function that
they declare with HR_API, and no other name, and leaves none of ours undefined.

    check_abi.py headers CC [CXX]      the headers
    check_abi.py symbols LIBRARY       the exports
"""

import glob
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
INCLUDE = os.path.join(ROOT, 'include')
SKIPPED = 77


def headers():
    return sorted(os.path.relpath(p, INCLUDE) for p in glob.glob(os.path.join(INCLUDE, 'headrace', '*.h')))


def check_headers(compilers):
    failed = 0
    for language, standard, compiler in compilers:
        if not shutil.which(compiler[0]):
            print(f'skipped: {language} ({compiler[0]} is not installed)')
            continue
        for header in headers():
            run = subprocess.run(compiler + ['-x', language, f'-std={standard}', '-Wall', '-Wextra', '-pedantic', '-Werror',
                                             '-fsyntax-only', '-I', INCLUDE, '-'],
                                 input=f'#include <{header}>\n', capture_output=True, text=True)
            if run.returncode:
                print(f'<{header}> does not compile alone as {language}:\n{run.stderr}')
                failed += 1
    print(f'{len(headers())} headers, {failed} failed')
    return 1 if failed else 0


def declared():
    names = {}
    for header in headers():
        with open(os.path.join(INCLUDE, header), encoding='utf-8') as f:
            text = re.sub(r'/\*.*?\*/|//[^\n]*', lambda m: re.sub(r'[^\n]', ' ', m.group(0)), f.read(), flags=re.S)
        text = re.sub(r'^\s*#(?:[^\n\\]|\\.|\\\n)*', '', text, flags=re.M)
        for match in re.finditer(r'\bHR_API\b([^;{]*?)\b(hr_\w+)\s*(?=[(;\[])', text, re.S):
            names[match.group(2)] = f'{header}:{text.count(chr(10), 0, match.start()) + 1}'
    return names


def check_symbols(library):
    if not shutil.which('nm'):
        print('skipped: nm is not installed')
        return SKIPPED
    run = subprocess.run(['nm', '-D', library], capture_output=True, text=True, check=True)
    symbols = [line.split()[-2:] for line in run.stdout.splitlines()]
    exported = {name.split('@')[0] for kind, name in symbols if kind not in 'AUwv'}
    unresolved = sorted(name for kind, name in symbols if kind == 'U' and name.startswith('hr_'))
    expected = declared()
    for name in unresolved:
        print(f'{name} is used inside and defined nowhere')
    for name in sorted(set(expected) - exported):
        print(f'{expected[name]}: {name} is declared with HR_API and not exported: define it')
    for name in sorted(exported - set(expected)):
        print(f'{name} is exported and declared nowhere: declare it with HR_API, or name it hr__')
    print(f'{len(expected)} declared, {len(exported)} exported, {len(unresolved)} undefined')
    return 1 if unresolved or exported != set(expected) else 0


def main():
    what, rest = sys.argv[1], sys.argv[2:]
    if what == 'symbols':
        return check_symbols(rest[0])
    return check_headers([('c', 'c17', rest[0].split()), ('c++', 'c++17', (rest + ['c++'])[1].split())])


if __name__ == '__main__':
    sys.exit(main())
