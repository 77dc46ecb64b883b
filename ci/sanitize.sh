#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The C unit tests in a build of their own under the sanitizers of a list, such as `thread` or `address,undefined`.
#
#   ci/sanitize.sh LIST
. ci/lib.sh
folder=build-$(echo "$1" | sed 's/thread/tsan/; s/address.*/asan/')
sanitizers_run "$1" || { echo "programs built with -fsanitize=$1 do not run on this machine"; exit 77; }
set -e
sh ci/configure.sh "$folder" -Db_sanitize="$1" -Db_lundef=false -Doptimization=1
meson compile -C "$folder"
exec meson test -C "$folder" --suite unit --suite flow --timeout-multiplier 10 --print-errorlogs ${wrapper:+--wrapper "$wrapper"}
