# SPDX-License-Identifier: Apache-2.0
"$HEADRACE" check range:1000000 --seconds 5 > /dev/null &
job=$!
tries=0
until "$HEADRACE" memory --stats-only 2> /dev/null > out || [ $tries -gt 100 ]; do tries=$((tries + 1)); done
head -2 out
rm out
kill -9 $job
wait $job 2> /dev/null || true
"$HEADRACE" check range:10 > /dev/null && echo started again
