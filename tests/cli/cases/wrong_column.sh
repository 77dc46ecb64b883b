# SPDX-License-Identifier: Apache-2.0
# exit 3
"$HEADRACE" check range:10 --map 'y = nope + 1'
