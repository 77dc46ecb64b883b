#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The ingest check over a real table: 336,776 flights in Parquet that pyarrow wrote, from C and from Python.
#
#   examples/demo/run.sh PYTHON HEADRACE
set -e
python=$1
headrace=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT TERM
flights=$folder/flights

say() { printf '\n== %s\n' "$*"; }
run() { printf '$ %s' "$(basename "$1")"; shift_print "$@"; "$@"; }
shift_print() { shift; for word in "$@"; do case $word in *[!A-Za-z0-9_./:=,-]*) printf " '%s'" "$word" ;; *) printf ' %s' "$word" ;; esac; done; echo; }

say 'A real table, written as Parquet by another program: flights from New York City in 2013'
"$python" examples/demo/make_flights.py "$flights"

say 'What is in it: one footer is read, no data'
run "$headrace" inspect "$flights/2013-q1.parquet"

say 'Its first rows'
run "$headrace" cat "$flights" --rows 3

say 'The ingest check without Python: two workers, batches of 1,024, three epochs, every byte read. Speeds are computed, delays scaled'
run "$headrace" check "$flights" --columns dep_delay,arr_delay,air_time,distance \
    --filter 'air_time > 0' --map 'speed = distance / air_time * 60' --scale dep_delay,arr_delay \
    --batch-rows 1024 --workers 2 --touch --epochs 3

if "$python" -c 'import headrace' 2>/dev/null && [ -f examples/python/dummy_trainer.py ]; then
    say 'The same from Python: the trainer that only reads and measures'
    run "$python" examples/python/dummy_trainer.py "$flights"
fi
