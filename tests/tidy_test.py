#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Plants one breach of each rule in a small tree and expects tidy.py to name its file, line and rule."""

import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
HEAD = '// SPDX-License-Identifier: Apache-2.0\n'
LONG = 'int f(int a)\n{\n' + '    a++;\n' * 70 + '    return a;\n}\n'

# path, text, the complaint expected ('' for none)
CASES = [
    ('src/kernel/good.c', HEAD + '#include "base/mem.h"\n// malloc( in a comment, "strcpy(" in a string\n'
     'const char *s = "malloc(";\n', ''),
    ('src/kernel/up.c', HEAD + '#include "store/store.h"\n', ":2: 'kernel' includes 'store'"),
    ('src/plan/secret.c', HEAD + '#include "store/inner.h"\n', ':2: "store/inner.h" is private'),
    ('src/plan/door.c', HEAD + '#include "store/store.h"\n#include "base/mem.h"\n', ''),
    ('src/plan/sample_test.c', HEAD + '#include "exec/exec_sample.h"\n', ''),
    ('src/plan/sample.c', HEAD + '#include "exec/exec_sample.h"\n', ':2: "exec/exec_sample.h" is private'),
    ('src/plan/deep/own.c', HEAD + '#include "plan/deep/other.h"\n', ''),
    ('src/plan/near.c', HEAD + '#include "near_by.h"\n', ':2: "near_by.h" names no room'),
    ('src/plan/climb.c', HEAD + '#include "../store/store.h"\n', ':2: "../store/store.h" climbs'),
    ('src/io/public.c', HEAD + '#include <headrace/dataset.h>\n', ":2: 'io' includes <headrace/dataset.h>"),
    ('cli/cmd_x.c', HEAD + '#include "plan/plan.h"\n', ':2: "plan/plan.h" is inside the core'),
    ('cli/cmd_y.c', HEAD + '#include <headrace/headrace.h>\nvoid f(void) { printf("x"); }\n', ''),
    ('src/nowhere/a.c', HEAD, ":1: room 'nowhere' is not in"),
    ('src/io/heap.c', HEAD + 'void *p = malloc(3);\n', ":2: 'malloc' is behind the door of heap"),
    ('src/io/heap_test.c', HEAD + 'void *p = malloc(3);\n', ''),
    ('src/io/member.c', HEAD + 'void f(struct a *a) { a->free(a); a->b.open(1); }\n', ''),
    ('src/io/lock.c', HEAD + 'int m = PTHREAD_MUTEX_INITIALIZER;\n', 'is behind the door of threads'),
    ('src/io/say.c', HEAD + 'void f(void) { fputs("x", g); }\n', "'fputs' is behind the door of output"),
    ('src/io/wide.c', HEAD + '#include <immintrin.h>\n', "'immintrin.h' is behind the door of intrinsics"),
    ('src/kernel/wide_avx2.c', HEAD + '#include <immintrin.h>\n', ''),
    ('src/io/squeeze.c', HEAD + '#include <brotli/decode.h>\n', 'is behind the door of compression'),
    ('src/io/number.c', HEAD + 'int i = atoi("3");\n', ":2: 'atoi' is banned"),
    ('src/io/later.c', HEAD + '// TO' 'DO: more\n', ':2: unfinished work'),
    ('src/io/bare.c', 'int a;\n', ':1: no SPDX line'),
    ('src/io/columns.c', HEAD + 'int ' + 'a' * 100 + ';\n', ':2: 105 columns of code'),
    ('src/io/comment.c', HEAD + '// ' + 'a' * 118 + '\n', ':2: 121 columns'),
    ('src/io/tall.c', HEAD + 'int a;\n' * 1000, ':1001: 1001 lines, at most 1000'),
    ('src/io/long.c', HEAD + '\n' + LONG, ":3: function 'f' has 74 lines"),
    ('src/io/table.c', HEAD + 'static const int t[] = {\n' + '    1,\n' * 90 + '};\n', ''),
    ('src/io/spread.c', HEAD + '#ifdef A\nint g(void)\n{\n#else\nint h(void)\n{\n#endif\n    return 1;\n}\n' + LONG,
     ":11: function 'f' has 74 lines"),
    ('src/io/made.c', HEAD + 'MAKE_ONE(a, int)\nMAKE_ONE(b, long)\n' + 'int f(int a)\n{\n' + '    a++;\n' * 66
     + '    return a;\n}\n', ''),
    ('src/store/good.c', HEAD, ':1: there is a src/kernel/good.c too'),
    ('src/base/mem.h', HEAD, ''),
    ('src/base/mem.c', HEAD + '#include <stdlib.h>\n#include "base/mem.h"\n', ':2: its own header does not come first'),
]


def main():
    with tempfile.TemporaryDirectory() as root:
        for path, text, _ in CASES + [('tests/layers.txt', open(os.path.join(HERE, 'layers.txt')).read(), '')]:
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            with open(os.path.join(root, path), 'w') as f:
                f.write(text)
        run = subprocess.run([sys.executable, os.path.join(HERE, 'tidy.py'), '--root', root],
                             capture_output=True, text=True)
    failed = 0
    lines = [line for line in run.stdout.split('\n') if 'clang-format' not in line]
    for path, _, expected in CASES:
        found = [line for line in lines if line.startswith(path + ':')]
        if expected == '' and found or expected and not any(expected in line for line in found):
            print(f'{path}: expected {expected or "nothing"!r}, found {found}')
            failed += 1
    if not any('README.md:1: missing' in line for line in lines):
        print('no complaint about a room without README')
        failed += 1
    print(f'{len(CASES)} cases, {failed} failed', run.stderr)
    return 1 if failed or run.returncode != 1 else 0


if __name__ == '__main__':
    sys.exit(main())
