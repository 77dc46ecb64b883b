# SPDX-License-Identifier: Apache-2.0
# exit 130
timeout --preserve-status -s INT 1 "$HEADRACE" check range:1000000 --seconds 50
