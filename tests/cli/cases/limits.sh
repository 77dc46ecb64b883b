# SPDX-License-Identifier: Apache-2.0
# exit 10
# What to do is said once, and fits.
(ulimit -n 8; exec "$HEADRACE" check range:100 --batch-rows 10 --workers 2) >/dev/null || code=$?
"$HEADRACE" check range:100 --shuffle window --order-lanes 1000 --batch-rows 10 >/dev/null || true
"$HEADRACE" check range:100 --split 3/3 >/dev/null || true
(ulimit -f 1; exec "$HEADRACE" check range:100 --batch-rows 10) >/dev/null || echo "not killed: $?"
exit $code
