# SPDX-License-Identifier: Apache-2.0
# For the scripts of this folder, which source it: one test run and its record in $out.

wrapper=

# sanitizers_run LIST: whether programs built so start on this machine. Some kernels place mappings where the sanitizers of
# these compilers do not expect them, on some starts only; setarch -R then helps, where it is allowed.
sanitizers_run() {
    probe=$(mktemp -d)
    printf '#include <stdlib.h>\nint main(void) { free(malloc(1)); return 0; }\n' >"$probe/probe.c"
    found=1
    if ${CC:-cc} -fsanitize="$1" -o "$probe/probe" "$probe/probe.c" 2>/dev/null; then
        for try in '' 'setarch -R'; do
            count=0
            while [ $count -lt 20 ] && $try "$probe/probe" >/dev/null 2>&1; do count=$((count + 1)); done
            if [ $count -eq 20 ]; then
                wrapper=$try
                found=0
                break
            fi
        done
    fi
    rm -rf "$probe"
    return $found
}

# run_meson BUILD NAME ARGUMENTS...: writes NAME.json and, of the second try of what failed, NAME.again.json.
run_meson() {
    build=$1
    name=$2
    shift 2
    meson compile -C "$build" >"$out/$name.build" 2>&1 || {
        grep -E 'error|FAILED|undefined' "$out/$name.build" | head -n 40
        echo "$name: the build" >"$out/$name.failed"
        return 0
    }
    meson test -C "$build" --timeout-multiplier 5 --print-errorlogs ${wrapper:+--wrapper "$wrapper"} "$@"
    cp "$build/meson-logs/testlog.json" "$out/$name.json" || { echo "$name: no log" >"$out/$name.failed"; return 0; }
    failed=$(python3 ci/count.py --failed "$out/$name.json")
    [ -n "$failed" ] || return 0
    echo "--- again, one at a time: $failed"
    # shellcheck disable=SC2086
    meson test -C "$build" --timeout-multiplier 10 --num-processes 1 ${wrapper:+--wrapper "$wrapper"} $failed
    cp "$build/meson-logs/testlog.json" "$out/$name.again.json"
    return 0
}

# run_pytest NAME: writes NAME.xml and NAME.again.xml.
run_pytest() {
    cache="-o cache_dir=$PWD/$out/pytest-cache"
    # shellcheck disable=SC2086
    timeout 2400 "$python" -m pytest -q -rs $cache --junitxml="$out/$1.xml" python/tests
    code=$?
    [ $code -eq 0 ] && return 0
    if [ $code -ne 1 ] || [ ! -f "$out/$1.xml" ]; then
        echo "$1: pytest ended with $code" >"$out/$1.failed"
        return 0
    fi
    echo '--- again, what failed'
    # shellcheck disable=SC2086
    timeout 1200 "$python" -m pytest -q --last-failed $cache --junitxml="$out/$1.again.xml" python/tests ||
        [ -s "$out/$1.again.xml" ] || rm -f "$out/$1.again.xml"
    return 0
}
