# SPDX-License-Identifier: Apache-2.0
# exit 1
# A full disk is told by every command; a closed output is not the next file that is opened.
"$HEADRACE" version >/dev/full || code=$?
"$HEADRACE" help check >/dev/full || true
"$HEADRACE" check range:100 --batch-rows 10 >&-
"$HEADRACE" cat range:3 <&- | tail -1
exit $code
