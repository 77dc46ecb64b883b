# SPDX-License-Identifier: Apache-2.0
"$HEADRACE" cat range_tensor:3x2x2,blocks=2 --json
