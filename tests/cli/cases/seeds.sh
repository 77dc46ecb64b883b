# SPDX-License-Identifier: Apache-2.0
# exit 2
# All seeds of 64 bits; others are refused and not cut.
"$HEADRACE" which range:1000,blocks=9 --step 0 --batch-rows 1 --shuffle blocks --seed 18446744073709551615 | head -1
"$HEADRACE" check range:10 --seed -1 || true
"$HEADRACE" check range:10 --seed 18446744073709551616
