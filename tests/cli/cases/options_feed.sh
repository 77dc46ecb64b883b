# SPDX-License-Identifier: Apache-2.0
"$HEADRACE" options feed
