#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What README.md and the guide show is true: programs of README.md stand in examples/, commands and links exist, and what a
console shows is what a case of tests/cli expects. The Python of the guide is run by python/tests/test_guide.py."""

import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
GUIDE = sorted(f'docs/guide/{n}' for n in os.listdir(os.path.join(ROOT, 'docs/guide')))
PAGES = ['README.md', 'docs/hacking.md', *GUIDE]
PROGRAMS = {'c': 'examples/c', 'python': 'examples/python'}


def read(path):
    with open(os.path.join(ROOT, path), encoding='utf-8') as f:
        return f.read()


def without_header(text):
    """A program without its SPDX line and what stands before its first blank line or include."""
    return re.sub(r'\A(#!.*\n)?(//|#) SPDX.*\n', '', text).strip()


def programs(language):
    folder = os.path.join(ROOT, PROGRAMS[language])
    return {without_header(read(os.path.join(PROGRAMS[language], n))) for n in os.listdir(folder) if '.' in n}


def console_is_tested(text):
    """"$ build/headrace ..." and its output: a case that runs this alone and expects just that."""
    command, output = text.split('\n', 1)
    cases = os.path.join(ROOT, 'tests/cli/cases')
    wanted = command.replace('$ build/headrace', '"$HEADRACE"') + '\n'
    return any(n.endswith('.sh') and without_header(read(f'tests/cli/cases/{n}')) + '\n' == wanted
               and output == read(f'tests/cli/cases/{n[:-3]}.stdout.exact') for n in os.listdir(cases))


def main():
    problems = []
    targets = set(re.findall(r'^([a-z-]+):', read('Makefile'), re.M))
    commands = {n[4:-2] for n in os.listdir(os.path.join(ROOT, 'cli')) if n.startswith('cmd_')}
    for page in PAGES:
        text = read(page)
        for language, snippet in re.findall(r'^```(c|python)\n(.*?)^```', text, re.M | re.S):
            if page not in GUIDE and snippet.strip() not in programs(language):
                problems.append(f'{page}: a {language} program that is no file of {PROGRAMS[language]}: '
                                f'{snippet.strip().splitlines()[0]}')
        problems += [f'{page}: no case of tests/cli has: {c.splitlines()[0]}'
                     for c in re.findall(r'^```console\n(.*?)^```', text, re.M | re.S) if not console_is_tested(c)]
        problems += [f'{page}: make {t}: no such target' for t in re.findall(r'\bmake ([a-z-]+)\b', text)
                     if f'`make {t}' in text or f'    make {t}' in text if t not in targets]
        problems += [f'{page}: headrace {c}: no such command' for c in re.findall(r'build/headrace ([a-z]+)', text)
                     if commands and c not in commands]
        problems += [f'{page}: {link}: no such file' for link in re.findall(r'\]\(([\w./-]+)\)', text)
                     if not os.path.exists(os.path.join(ROOT, os.path.dirname(page), link))]
    print('\n'.join(problems))
    print(f'{len(PAGES)} pages, {len(problems)} problems')
    return 1 if problems else 0


if __name__ == '__main__':
    sys.exit(main())
