#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The canonical workload: 20,000 tensors of 80 x 80 x 4 in 40 blocks, doubled twice, streamed to one worker that reads every
# byte, five epochs (the first pays for fresh memory). ROWS and EPOCHS change its size.
set -e
program=${1:-build/headrace}
echo "$(nproc) CPUs, $(uname -m), $(date -u +%F)"
exec "$program" check "range_tensor:${ROWS:-20000}x80x80x4,blocks=40" --map 'data = data * 2' --map 'data = data * 2' \
    --touch --epochs "${EPOCHS:-5}"
