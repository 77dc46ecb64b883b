# SPDX-License-Identifier: Apache-2.0
# exit 8
"$HEADRACE" options nope
