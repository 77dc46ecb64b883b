#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages that a target needs and that are not there, and says which. Where there is no apt, or no
# right to use it, it names them and goes on: they may be there under another name.
#
#   ci/packages.sh PACKAGE...
set -e
command -v dpkg-query >/dev/null || exit 0
missing=
for package in "$@"; do
    dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
as_root=
if [ "$(id -u)" != 0 ]; then
    if sudo -n true 2>/dev/null; then
        as_root='sudo -n env DEBIAN_FRONTEND=noninteractive'
    else
        echo "these Debian packages are missing and I may not install them:$missing"
        exit 0
    fi
fi
export DEBIAN_FRONTEND=noninteractive
echo "installing Debian packages:$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() { $as_root apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -qq "$@" >"$log" 2>&1; }
# The lists of a fresh machine are absent or old: fetch them before the first try, and once more if that fails.
apt update || { sleep 5; apt update; } || { tail -n 5 "$log"; }
# What is still missing then is said by whoever needs it.
# shellcheck disable=SC2086
apt install -y --no-install-recommends $missing || { apt update; apt install -y --no-install-recommends $missing; } ||
    { tail -n 20 "$log"; echo 'not all of them could be installed: going on without'; }
