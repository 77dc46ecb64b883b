# SPDX-License-Identifier: Apache-2.0
# exit 14
run() { "$HEADRACE" check range:2000,blocks=8 --shuffle window --json "$@" >/dev/null || echo "failed: $*"; }
run --batch-rows 100 --workers 2 --digest a
run --batch-rows 50 --workers 3 --digest b
"$HEADRACE" diff a b || code=$?
rm -r a b
exit $code
