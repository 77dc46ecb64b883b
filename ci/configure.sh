#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Configures a build folder once. One that was left half made is made again.
#
#   ci/configure.sh FOLDER MESON_OPTION...
set -e
folder=$1
shift
[ -f "$folder/build.ninja" ] && exit 0
rm -rf "$folder"
meson setup "$folder" "$@" >"$folder.log" 2>&1 || { cat "$folder.log"; exit 1; }
mv "$folder.log" "$folder/meson-setup.txt"
