# SPDX-License-Identifier: Apache-2.0
"$HEADRACE" check range_tensor:200x8x8,blocks=10 --map 'data = data * 2' --map 'data = data * 2' --touch
