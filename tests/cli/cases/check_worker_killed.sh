# SPDX-License-Identifier: Apache-2.0
# One of two workers is killed: the other finishes, and the report says so.
"$HEADRACE" check range:3000000,blocks=300 --seconds 1 --workers 2 > out 2> err &
job=$!
set --
while [ $# -lt 2 ]; do set -- $(cat /proc/$job/task/$job/children); done
kill -9 $1
code=0
wait $job || code=$?
echo "exit $code"
grep '^Worker' out
grep -c '^Num batches read' out
rm out err
