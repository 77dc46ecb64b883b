# SPDX-License-Identifier: Apache-2.0
"$HEADRACE" check range:1001 --scale id --batch-rows 100 | sed -n 's/^Preprocessor Stand/Stand/p'
