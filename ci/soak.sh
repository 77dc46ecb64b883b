#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The unit and flow tests in a loop, two at a time, until SOAK_SECONDS (600 unless set) have passed or one fails. Jobs are
# killed more often than in the tests (HEADRACE_KILLS).
set -e
export HEADRACE_KILLS=${HEADRACE_KILLS:-50}
end=$(($(date +%s) + ${SOAK_SECONDS:-600}))
rounds=0
while [ "$(date +%s)" -lt "$end" ]; do
    meson test -C build --quiet --timeout-multiplier 5 --num-processes 2 --suite unit --suite flow
    rounds=$((rounds + 1))
done
echo "$rounds rounds"
