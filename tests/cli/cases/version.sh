# SPDX-License-Identifier: Apache-2.0
"$HEADRACE" version
"$HEADRACE" --version
