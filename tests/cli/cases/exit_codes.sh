# SPDX-License-Identifier: Apache-2.0
"$HEADRACE" help exit-codes | tail -1
