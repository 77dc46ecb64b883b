# SPDX-License-Identifier: Apache-2.0
"$HEADRACE" cat range:1000000 --rows all --json | head -2
