#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# All tests: the C ones and the scripts by meson, the C unit tests again under AddressSanitizer and
# UndefinedBehaviorSanitizer, the Python ones by pytest. A test that fails is run once more, alone, and named `unsteady` if
# it passes then: on a busy machine a deadline is no finding. The last line counts.
#
#   ci/test.sh FOLDER_OF_PYTHON
venv=$1
python=$venv/bin/python
out=build/results
rm -rf "$out"
mkdir -p "$out"

. ci/lib.sh

echo '--- C tests'
run_meson build c
if sanitizers_run address,undefined; then
    echo '--- C unit tests under ASan and UBSan'
    sh ci/configure.sh build-asan -Db_sanitize=address,undefined -Db_lundef=false -Doptimization=1 &&
        run_meson build-asan asan --suite unit || echo 'asan build' >"$out/asan.failed"
else
    echo 'ASan and UBSan do not run on this machine' >"$out/asan.skipped"
fi
if "$python" -c 'import headrace, pytest' 2>/dev/null; then
    echo '--- Python tests'
    run_pytest python
elif [ -f "$venv.missing" ]; then
    echo "python: $(cat "$venv.missing")" >"$out/python.skipped"
else
    echo 'python: headrace cannot be imported' >"$out/python.failed"
fi
exec python3 ci/count.py "$out"
