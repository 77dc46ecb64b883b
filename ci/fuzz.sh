#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fuzz targets, FUZZ_SECONDS each (600 unless set), from their corpus in tests/data/fuzz. What they find new stays in
# build-fuzz; a crash ends the run, and its input is named by the fuzzer.
#
#   ci/fuzz.sh TARGET...
set -e
CC=clang sh ci/configure.sh build-fuzz -Dfuzz=true -Dtests=disabled -Db_sanitize=address,undefined -Db_lundef=false \
    -Doptimization=2
for target in "$@"; do
    meson compile -C build-fuzz "$target"
    seeds=tests/data/fuzz/${target#fuzz_}
    found=build-fuzz/found/$target
    mkdir -p "$found"
    [ -d "$seeds" ] || seeds=
    echo "$target for ${FUZZ_SECONDS:-600} s"
    "./build-fuzz/src/$target" -max_total_time="${FUZZ_SECONDS:-600}" -timeout=20 -rss_limit_mb=2048 -max_len=65536 \
        -print_final_stats=1 -artifact_prefix="build-fuzz/" "$found" ${seeds:+"$seeds"}
done
