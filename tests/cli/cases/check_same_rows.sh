# SPDX-License-Identifier: Apache-2.0
# The sequence of rows is the same for any number of threads, workers and batch rows.
sum() { "$HEADRACE" check range:20000,blocks=9 --map 'x = id * 3' --filter 'x > 500' --touch --json "$@" |
    grep -o '"checksum": "[0-9a-f]*"'; }
one=$(sum --batch-rows 100)
for more in '--threads 1' '--threads 8' '--workers 3' '--epochs 1 --prefetch 0' '--memory 64MiB'; do
    [ "$(sum --batch-rows 100 $more)" = "$one" ] || echo "differs with $more"
done
[ "$(sum --global-batch-rows 96 --workers 3)" = "$one" ] || echo "differs in steps"
[ "$(sum --batch-rows 96 --tail drop)" != "$one" ] || echo "nothing dropped"
[ "$(sum --batch-rows 96 --tail pad)" != "$one" ] || echo "nothing padded"
[ "$(sum)" = "$one" ] || echo "differs in whole blocks"
[ "$(sum --batch-rows 7 --bulk)" = "$one" ] || echo "differs in bulk"
shuffled=$(sum --batch-rows 100 --shuffle window --seed 7)
[ "$shuffled" != "$one" ] || echo "not shuffled"
[ "$(sum --batch-rows 100 --shuffle window --seed 7 --workers 2 --threads 8)" = "$shuffled" ] || echo "shuffled otherwise"
