#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The house rules that a machine can check: layers, doors, banned calls, sizes, names.

tests/layers.txt is the data; this is the reader. Every complaint is `file:line: what: remedy`. There are no exemptions by
file: a rule that is wrong is changed here or there, for everybody. The compiler checks the rest (-Wvla, -Wmissing-prototypes).

    tests/tidy.py                the tree this file stands in
    tests/tidy.py --build DIR    also the global symbols of DIR's core
"""

import argparse
import fnmatch
import os
import re
import shutil
import subprocess
import sys

FILE_LINES_MAX = 1000
FUNCTION_LINES_MAX = 70
CODE_COLUMNS_MAX = 100
COMMENT_COLUMNS_MAX = 120  # where a line ends in a comment: clang-format leaves those alone, and prose reads well so
README_LINES_MAX = 60
CLANG_FORMAT_MAJOR = 14  # other versions lay some lines out differently
SYMBOL_PREFIX = ('hr_', '__odr_asan')

FOLDERS = ('src', 'include', 'cli', 'python', 'tests', 'bench', 'examples')
PUBLIC_ONLY = ('cli/', 'python/core/', 'examples/', 'tests/flow/')
SKIPPED_FOLDERS = re.compile(r'^(build.*|__pycache__|\..*|data|node_modules|.*\.egg-info)$')
SPDX = 'SPDX-License-Identifier: Apache-2.0'
TEST_CODE = re.compile(r'(_test|_fuzz|_check)\.c$|(_test|_sample|/unit)\.h$|^(tests|bench|examples)/|/check/')
UNFINISHED = re.compile(r'\b(TO' r'DO|FIX' r'ME|XX' r'X)\b')

BANNED = {
    'strcpy': 'memcpy with a checked length', 'strcat': 'hr_text of base/text.h', 'strncpy': 'memcpy and a NUL',
    'strncat': 'hr_text of base/text.h', 'stpcpy': 'memcpy with a checked length', 'sprintf': 'snprintf or hr_text',
    'vsprintf': 'vsnprintf or hr_text', 'gets': 'a bounded read', 'strtok': 'strcspn in a loop',
    'atoi': 'strtoll with its end checked', 'atol': 'strtoll with its end checked', 'atof': 'strtod with its end checked',
    'sscanf': 'a parser with checks', 'fscanf': 'a parser with checks', 'scanf': 'a parser with checks',
    'alloca': 'a fixed array or hr__alloc', 'rand': 'base/rng.h', 'srand': 'base/rng.h', 'random': 'base/rng.h',
    'drand48': 'base/rng.h', 'system': 'hr__spawn', 'popen': 'hr__spawn', 'setjmp': 'hr_status',
    'longjmp': 'hr_status', 'assert': 'HR_ASSERT, which stays on in release', 'signal': 'leave signals to the program',
    '__builtin_unreachable': 'HR_ASSERT(false)', '__builtin_alloca': 'a fixed array or hr__alloc',
}
BANNED_BUT_IN_TESTS = {'signal', 'setjmp', 'longjmp'}
BANNED_BUT_IN_CLI = {'signal'}

CALL = re.compile(r'(?<![\w.>])([A-Za-z_]\w*)\s*\(')
MACRO_LINE = re.compile(r'[A-Z][A-Z0-9_]*\(.*\)$')
NAME = re.compile(r'(?<![\w.>])([A-Za-z_]\w*)')
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')

problems = []
notes = []


def complain(path, line, what, remedy):
    problems.append((path, line, f'{what}: {remedy}'))


class Source:
    """A C file: its lines, and the same lines without comments, strings and character constants."""

    def __init__(self, root, path):
        self.path = path
        with open(os.path.join(root, path), encoding='utf-8', errors='replace') as f:
            self.text = f.read()
        self.lines = self.text.split('\n')
        if self.lines and self.lines[-1] == '':
            self.lines.pop()
        self.code = blank(self.text).split('\n')
        self.is_test = bool(TEST_CODE.search(path))
        # As layers.txt names it: src/ is left out.
        self.name = path[4:] if path.startswith('src/') else path
        parts = path.split('/')
        self.room = parts[1] if parts[0] == 'src' and len(parts) > 2 else None


def blank(text):
    """Comments and literals become spaces; newlines stay, so that line numbers do."""
    pattern = re.compile(r'//(?:[^\n\\]|\\.|\\\n)*|/\*.*?\*/|"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'', re.S)

    def replace(match):
        token = match.group(0)
        inside = re.sub(r'[^\n]', ' ', token)
        return token[0] + inside[1:-1] + token[0] if token[0] in '"\'' and len(token) > 1 else inside

    return pattern.sub(replace, text)


def read_layers(root):
    section, rules = None, {'rooms': {}, 'public': {}, 'vocabulary': [], 'doors': []}
    path = os.path.join(root, 'tests', 'layers.txt')
    with open(path, encoding='utf-8') as f:
        for number, line in enumerate(f, 1):
            line = line.strip()
            if not line or line.startswith('#'):
                continue
            if line.startswith('['):
                section = line.strip('[]')
            elif section == 'rooms':
                room, below = line.split(':')
                rules['rooms'][room] = below.split()
            elif section == 'public':
                header, room = line.split(':')
                rules['public'][header] = room.strip()
            elif section == 'vocabulary':
                rules['vocabulary'] += line.split()
            elif section == 'doors':
                rules['doors'].append(read_door(line))
            else:
                complain('tests/layers.txt', number, 'line outside a section', 'put it under one')
    for room, below in rules['rooms'].items():
        known = list(rules['rooms'])[:list(rules['rooms']).index(room)]
        for other in below:
            if other not in known:
                complain('tests/layers.txt', 1, f"'{room}' may include '{other}', which stands at or above it",
                         'rooms are listed bottom up')
    return rules


def read_door(line):
    name, files, who, words, remedy = [part.strip() for part in line.split('|')]
    door = {'name': name, 'files': files.split(), 'tests': who == 'tests', 'remedy': remedy,
            'calls': set(), 'names': [], 'headers': []}
    for group in words.split(';'):
        kind, items = group.split(':')
        if kind.strip() == 'calls':
            door['calls'] |= set(items.split())
        else:
            door[kind.strip()] += items.split()
    door['names'] = [re.compile(fnmatch.translate(n)) for n in door['names']]
    return door


def find_sources(root):
    for folder in FOLDERS:
        for where, folders, files in os.walk(os.path.join(root, folder)):
            folders[:] = sorted(f for f in folders if not SKIPPED_FOLDERS.match(f))
            for name in sorted(files):
                yield os.path.relpath(os.path.join(where, name), root)


def check_include(source, number, kind, target, rules):
    rooms, public = rules['rooms'], rules['public']
    if kind == '<':
        if not target.startswith('headrace/') or not source.room:
            return
        header = target[len('headrace/'):]
        if header not in public:
            complain(source.path, number, f'<{target}> is in no room', 'add it to [public] of tests/layers.txt')
        elif public[header] != source.room and public[header] not in rooms.get(source.room, []):
            complain(source.path, number, f"'{source.room}' includes <{target}>, which belongs to '{public[header]}'",
                     'a lower room never learns a name above it; report up by return value or callback')
        return
    if target.startswith('../') or '/../' in target:
        complain(source.path, number, f'"{target}" climbs', 'name the full path from src/')
        return
    if any(source.path.startswith(folder) for folder in PUBLIC_ONLY):
        if target.split('/')[0] in rooms:
            complain(source.path, number, f'"{target}" is inside the core', 'include <headrace/...> alone')
        return
    if not source.room:
        return
    parts = target.split('/')
    if len(parts) < 2 or parts[0] not in rooms:
        complain(source.path, number, f'"{target}" names no room', 'write the full path from src/, "room/file.h"')
        return
    room = parts[0]
    if room == source.room:
        return
    if room not in rooms[source.room]:
        complain(source.path, number, f"'{source.room}' includes '{room}'",
                 f"it may include {', '.join(rooms[source.room]) or 'nothing'}")
    elif room not in rules['vocabulary'] and target != f'{room}/{room}.h' and not (
            source.is_test and target == f'{room}/{room}_sample.h'):  # what tests share
        complain(source.path, number, f'"{target}" is private to its room', f'go through the door, "{room}/{room}.h"')


def check_layers(source, rules):
    if source.room and source.room not in rules['rooms']:
        complain(source.path, 1, f"room '{source.room}' is not in tests/layers.txt", 'add it, and say why in decisions.md')
        return
    first = None
    for number, line in enumerate(source.lines, 1):
        match = INCLUDE.match(line)
        if not match or not source.code[number - 1].strip():
            continue
        first = first or (number, match.group(2))
        check_include(source, number, match.group(1), match.group(2), rules)
    # A file's own header, or one of its room that includes it: so each header is compiled first somewhere.
    if source.room and source.path.endswith('.c') and not source.is_test and first:
        if not first[1].startswith((source.room + '/', 'headrace/')) and has_header(rules['root'], source):
            complain(source.path, first[0], 'its own header does not come first', 'begin with a header of its room')


def has_header(root, source):
    return os.path.exists(os.path.join(root, re.sub(r'\.c$', '.h', source.path)))


def is_door(source, door):
    return any(fnmatch.fnmatch(source.name, pattern) for pattern in door['files'])


def check_doors(source, rules):
    # Public headers and their users outside the core are the business of others.
    closed = [d for d in rules['doors'] if not is_door(source, d) and not (d['tests'] and source.is_test)]
    if source.path == 'include/headrace/base.h':
        closed = [d for d in closed if d['name'] != 'extensions']  # it has the attributes of the public headers
    for number, code in enumerate(source.code, 1):
        include = INCLUDE.match(source.lines[number - 1]) if code.strip() else None
        calls = set(CALL.findall(code))
        names = set(NAME.findall(code))
        for door in closed:
            found = sorted(calls & door['calls'])
            found += sorted(n for n in names if any(p.match(n) for p in door['names']))
            if include and include.group(1) == '<':
                found += [h for h in door['headers'] if fnmatch.fnmatch(include.group(2), h)]
            for what in dict.fromkeys(found):
                complain(source.path, number, f"'{what}' is behind the door of {door['name']}", f"use {door['remedy']}")


def check_banned(source):
    allowed = BANNED_BUT_IN_TESTS if source.is_test else set()
    if source.path.startswith('cli/'):
        allowed = allowed | BANNED_BUT_IN_CLI
    for number, code in enumerate(source.code, 1):
        for call in CALL.findall(code):
            if call in BANNED and call not in allowed:
                complain(source.path, number, f"'{call}' is banned", f'use {BANNED[call]}')


def check_lines(source):
    if not source.lines or not source.lines[0].endswith(SPDX):
        complain(source.path, 1, 'no SPDX line', f'begin with // {SPDX}')
    if len(source.lines) > FILE_LINES_MAX:
        complain(source.path, len(source.lines), f'{len(source.lines)} lines, at most {FILE_LINES_MAX}', 'split by concept')
    for number, line in enumerate(source.lines, 1):
        code, whole = len(source.code[number - 1].rstrip().expandtabs(4)), len(line.expandtabs(4))
        if code > CODE_COLUMNS_MAX:
            complain(source.path, number, f'{code} columns of code, at most {CODE_COLUMNS_MAX}', 'break the line')
        elif whole > COMMENT_COLUMNS_MAX:
            complain(source.path, number, f'{whole} columns, at most {COMMENT_COLUMNS_MAX}', 'break the comment')


def check_unfinished(root, path):
    if not path.endswith(('.c', '.h', '.py', '.pyi', '.md', '.txt', '.build', '.sh', '.map')):
        return
    with open(os.path.join(root, path), encoding='utf-8', errors='replace') as f:
        for number, line in enumerate(f, 1):
            if UNFINISHED.search(line):
                complain(path, number, 'unfinished work', 'finish it, or file an issue')


def is_function(head):
    """Whether the text between the last statement and a brace at depth 0 heads a function."""
    head = head.strip()
    if '(' not in head or re.match(r'(typedef|struct|union|enum)\b[^()]*$', head):
        return False
    return '=' not in re.sub(r'\([^()]*\)', '', head)


def check_functions(source):
    depth, head, start, head_line, name = 0, '', 0, 0, ''
    continued = False
    for number, code in enumerate(source.code, 1):
        directive, continued_before = code.lstrip().startswith('#'), continued
        continued = (directive or continued_before) and source.lines[number - 1].rstrip().endswith('\\')
        if directive or continued_before or re.match(r'\s*extern\s+"\s*"\s*\{', code):
            continue
        if code.startswith('}') and depth != 1:
            depth = 1 if depth > 1 else 0  # an #else with braces of its own: column 0 always closes
        if depth == 0 and MACRO_LINE.match(code):
            head = ''  # functions made by a macro stand in no line of their own
            continue
        for char in code:
            if char == '{':
                if depth == 0:
                    start = head_line if is_function(head) else 0
                    names = CALL.findall(head)
                    name = names[0] if names else '?'
                depth += 1
            elif char == '}':
                depth = max(0, depth - 1)
                if depth == 0:
                    lines = number - start + 1
                    # The list of tests in a test program's main is data.
                    if start and lines > FUNCTION_LINES_MAX and not (source.is_test and name == 'main'):
                        complain(source.path, start, f"function '{name}' has {lines} lines, at most {FUNCTION_LINES_MAX}",
                                 'split it')
                    head, start = '', 0
            elif depth == 0:
                if char == ';':
                    head = ''
                else:
                    if not head.strip() and not char.isspace():
                        head_line = number
                    head += char
        if depth == 0:
            head += ' '


def check_script(root, path):
    with open(os.path.join(root, path), encoding='utf-8', errors='replace') as f:
        start = f.readline() + f.readline()
    if SPDX not in start and start.strip():
        complain(path, 1, 'no SPDX line', f'# {SPDX} in the first two lines')


def check_unique(paths):
    seen = {}
    for path in paths:
        name = os.path.basename(path)
        # A public header may be named as the door of its room: one is <headrace/x.h>, the other "x/x.h".
        if path.startswith('include/') or not name.endswith(('.c', '.h')):
            continue
        if name in seen:
            complain(path, 1, f'there is a {seen[name]} too', 'file names are unique in the tree; add a prefix')
        seen.setdefault(name, path)


def check_rooms(root, rules):
    for room in rules['rooms']:
        folder = os.path.join(root, 'src', room)
        # A room begins with its first source: before that there is nothing to explain.
        if not os.path.isdir(folder) or not any(n.endswith('.c') for _, _, f in os.walk(folder) for n in f):
            continue
        readme = os.path.join(folder, 'README.md')
        if not os.path.exists(readme):
            complain(f'src/{room}/README.md', 1, 'missing', 'say its job, its invariants, its locks, its files')
            continue
        with open(readme, encoding='utf-8') as f:
            lines = len(f.readlines())
        if lines > README_LINES_MAX:
            complain(f'src/{room}/README.md', lines, f'{lines} lines, at most {README_LINES_MAX}', 'shorten it')
        check_readme_files(root, folder)


def check_readme_files(root, room):
    """Each source stands in its folder's README, or the room's: as `x.c`, `x*` or within `folder/`; and no other does."""
    for folder, _, files in os.walk(room):
        readme = os.path.join(folder if os.path.exists(os.path.join(folder, 'README.md')) else room, 'README.md')
        named = [w for words in re.findall(r'`([^`]+)`', read_text(readme)) for w in re.split(r'[\s,]+', words)]
        if folder != os.path.dirname(readme) and os.path.relpath(folder, room).split(os.sep)[0] + '/' in named:
            continue
        name = os.path.relpath(readme, root)
        sources = [f for f in files if f.endswith('.c') and not TEST_CODE.search(f)]
        for source in sources:
            if not any(fnmatch.fnmatch(source, w) for w in named):
                complain(name, 1, f"'{source}' is not told of", 'add it to the files of the room')
        for word in named:
            if folder == os.path.dirname(readme) and re.fullmatch(r'\w+\.[ch]', word) and word not in files and word[0:2] not in ('x.', 'x_'):
                complain(name, 1, f"'{word}' is not there", 'it was renamed or removed')


def read_text(path):
    with open(path, encoding='utf-8') as f:
        return f.read()



def check_format(root, sources):
    tool = shutil.which('clang-format')
    if not tool:
        notes.append('skipped: clang-format is not installed')
        return
    version = subprocess.run([tool, '--version'], capture_output=True, text=True).stdout
    major = re.search(r'version (\d+)', version)
    if not major or int(major.group(1)) != CLANG_FORMAT_MAJOR:
        notes.append(f'skipped: clang-format {CLANG_FORMAT_MAJOR} is wanted, found {version.strip()}')
        return
    paths = [s.path for s in sources]
    for at in range(0, len(paths), 50):
        run = subprocess.run([tool, '--dry-run', '--Werror', '--ferror-limit=1'] + paths[at:at + 50],
                             cwd=root, capture_output=True, text=True)
        for path, line in re.findall(r'^(\S+?):(\d+):\d+: error: code should be clang-formatted', run.stderr, re.M):
            complain(path, int(line), 'not laid out by clang-format', f'clang-format -i {path}')


def check_symbols(build):
    archive = os.path.join(build, 'src', 'libheadrace_core.a')
    tool = shutil.which('nm')
    if not tool or not os.path.exists(archive):
        notes.append('skipped: symbols (no nm, or no libheadrace_core.a in the build folder)')
        return
    run = subprocess.run([tool, '-g', '--defined-only', archive], capture_output=True, text=True)
    member = archive
    for line in run.stdout.split('\n'):
        if line.endswith(':'):
            member = line[:-1]
        parts = line.split()
        if len(parts) == 3 and not parts[2].startswith(SYMBOL_PREFIX):
            complain(member, 1, f"global symbol '{parts[2]}'", 'make it static, or begin with hr__')


def main():
    parser = argparse.ArgumentParser(description='house rules')
    parser.add_argument('--build', help='a build folder, for the symbols of its core')
    parser.add_argument('--root', default=os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    args = parser.parse_args()
    rules = read_layers(args.root)
    rules['root'] = args.root
    paths = list(find_sources(args.root))
    sources = [Source(args.root, p) for p in paths if p.endswith(('.c', '.h'))]
    for source in sources:
        check_layers(source, rules)
        check_doors(source, rules)
        check_banned(source)
        check_lines(source)
        check_functions(source)
    for path in paths:
        check_unfinished(args.root, path)
        if path.endswith(('.py', '.sh')):
            check_script(args.root, path)
    check_unique(paths)
    check_rooms(args.root, rules)
    check_format(args.root, sources)
    if args.build:
        check_symbols(args.build)
    for path, line, what in sorted(problems):
        print(f'{path}:{line}: {what}')
    for note in notes:
        print(note)
    print(f'{len(sources)} C files, {len(problems)} problems')
    return 1 if problems else 0


if __name__ == '__main__':
    sys.exit(main())
