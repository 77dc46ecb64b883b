# SPDX-License-Identifier: Apache-2.0
# exit 2
"$HEADRACE" check range:10 --batch-rows none
