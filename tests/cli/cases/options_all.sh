# SPDX-License-Identifier: Apache-2.0
# All groups, as text and as JSON; each flag they name is a flag of some command.
"$HEADRACE" options | grep -c '^[a-z_]*: hr_[a-z]*_options'
python3 - "$HEADRACE" <<'END'
import json, subprocess, sys
tables = json.loads(subprocess.run([sys.argv[1], 'options', '--json'], capture_output=True, text=True).stdout)['tables']
commands = ('check', 'which', 'cat')
known = ''.join(subprocess.run([sys.argv[1], 'help', c], capture_output=True, text=True).stdout for c in commands).split()
rows = [row for table in tables for row in table['options']]
print(len(tables), [r['name'] for r in rows if r['flag'] and r['flag'] not in known])
print(all(r['help'] and r['type'] in ('integer', 'bytes', 'seconds', 'bool', 'text', 'choice') for r in rows))
print([r['default'] for r in rows if r['name'] in ('io_threads', 'tail', 'row_group_rows', 'deferred')])
END
"$HEADRACE" options --json stream | head -c 60
