#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Configures a build folder once. One that was left half made is made again. Warnings are no errors here: other compilers,
# and these with sanitizers, find other things to warn of.
#
#   ci/configure.sh FOLDER MESON_OPTION...
set -e
folder=$1
shift
[ -f "$folder/build.ninja" ] && exit 0
rm -rf "$folder"
meson setup "$folder" -Dwerror=false "$@" >"$folder.log" 2>&1 || { cat "$folder.log"; exit 1; }
mv "$folder.log" "$folder/meson-setup.txt"
