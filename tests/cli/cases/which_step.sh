# SPDX-License-Identifier: Apache-2.0
"$HEADRACE" which range:2000,blocks=7 --step 1 --batch-rows 8
"$HEADRACE" which range:2000,blocks=7 --step 1 --batch-rows 8 --workers 2 --rank 1 --filter 'id > 500'
"$HEADRACE" which range:2000,blocks=7 --step 19 --global-batch-rows 100 --shuffle window --seed 3 --all |
    awk '/range/ { n += $6 == "row" ? 1 : $9 - $7 + 1 } END { print n, "rows" }'
"$HEADRACE" which range:100,blocks=2 --step 7 --batch-rows 50 2>&1 || true
"$HEADRACE" which range:2000,blocks=7 --step 3 --batch-rows 4 --shuffle window --window-rows 64 --order-lanes 2 --seed 3
