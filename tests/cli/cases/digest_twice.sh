# SPDX-License-Identifier: Apache-2.0
# exit 2
# A check is always another run: it does not add to the log of an earlier one.
"$HEADRACE" check range:100 --batch-rows 10 --digest a >/dev/null
"$HEADRACE" check range:100 --batch-rows 20 --digest a || code=$?
rm -r a
exit $code
