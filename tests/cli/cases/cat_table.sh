# SPDX-License-Identifier: Apache-2.0
"$HEADRACE" cat range:100 --rows 3
