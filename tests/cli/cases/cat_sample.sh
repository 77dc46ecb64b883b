# SPDX-License-Identifier: Apache-2.0
# Samples and parts of the rows: in the order of the flags, the same ones each time, all of them together.
all() { "$HEADRACE" cat range:1000,blocks=7 --rows all --json "$@"; }
"$HEADRACE" cat range:1000,blocks=7 --split 2/3 --sample 0.1,7 --rows 3
[ "$(all --sample 0.1,7)" = "$(all --sample 0.1,7)" ] || echo "another sample"
[ "$(all --sample 0.1,7)" != "$(all --sample 0.1,8)" ] || echo "the seed changed nothing"
{ all; echo; for i in 0 1 2; do all --split $i/3; done; } | awk 'NF == 0 { half = 1; next } !half { a = a $0 } half { b = b $0 } END { print (a == b ? "three parts are all rows" : "other rows") }'
all --filter 'id >= 990' --split 1/2
"$HEADRACE" check range:1000,blocks=7 --map 'x = id * 2' --sample 0.1,7 --filter 'x > 100' --split 0/2 --json | grep -o '"rows": [0-9]*' | head -1
"$HEADRACE" which range:1000,blocks=7 --split 1/4 --step 0 --batch-rows 8
"$HEADRACE" which range:1000,blocks=7 --sample 0.1,7 --step 1 --batch-rows 4
"$HEADRACE" cat range:10 --split 3/3 2>&1 || echo "exit $?"
"$HEADRACE" cat range:10 --split 0/20 2>&1 || echo "exit $?"
"$HEADRACE" check range:10 --sample 1.5 2>&1 || echo "exit $?"
"$HEADRACE" check range:10 --sample 0.5,x 2>&1 || echo "exit $?"
