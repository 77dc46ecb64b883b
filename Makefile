# SPDX-License-Identifier: Apache-2.0
# The two commands of the README are `make demo` and `make test`; the rest is for those who work on headrace.
# Everything is made inside this folder: build/ (release), .venv/ (Python), build-*/ (sanitizers, fuzzers). All targets
# may be repeated; none leaves anything running.

PYTHON ?= python3
FUZZ_SECONDS ?= 600
VENV := .venv
BUILD_PACKAGES := gcc libc6-dev pkg-config meson ninja-build python3 \
	libzstd-dev liblz4-dev libsnappy-dev libbrotli-dev libdeflate-dev libxxhash-dev libjansson-dev libcmocka-dev
PYTHON_PACKAGES := python3-venv python3-dev

.PHONY: help build python python-tests demo test bench soak fuzz sanitize clean

help:
	@echo 'make demo      the ingest check over a real table, from C and from Python'
	@echo 'make test      all tests; the last line counts them'
	@echo 'make build     build/headrace, release; installs missing Debian packages where it may'
	@echo 'make python    .venv with the headrace package'
	@echo 'make bench     the canonical workload; bench/README.md has the others'
	@echo 'make sanitize  the C tests under ThreadSanitizer, AddressSanitizer and UndefinedBehaviorSanitizer'
	@echo "make fuzz      the Parquet reader, codecs' fronts, the expression parser, FUZZ_SECONDS (600) each; needs clang"
	@echo 'make soak      the flow tests over and over, SOAK_SECONDS (600)'

build:
	@sh ci/packages.sh $(BUILD_PACKAGES)
	@sh ci/configure.sh build --buildtype=release
	@meson compile -C build

python: build
	@sh ci/packages.sh $(PYTHON_PACKAGES)
	@PYTHON=$(PYTHON) sh ci/python.sh $(VENV) package

python-tests: python
	@PYTHON=$(PYTHON) sh ci/python.sh $(VENV) tests

demo: python
	@PYTHON=$(PYTHON) sh ci/python.sh $(VENV) demo
	@sh examples/demo/run.sh $(VENV)/bin/python build/headrace

test: build python-tests
	@sh ci/test.sh $(VENV)

bench: build
	@sh bench/ingest/run.sh build/headrace

sanitize: build
	@sh ci/sanitize.sh thread
	@sh ci/sanitize.sh address,undefined

fuzz:
	@sh ci/packages.sh $(BUILD_PACKAGES) clang libclang-rt-14-dev
	@FUZZ_SECONDS=$(FUZZ_SECONDS) sh ci/fuzz.sh fuzz_parquet fuzz_codec fuzz_expr

soak: build
	@sh ci/soak.sh

clean:
	rm -rf build build-asan build-tsan build-fuzz build-python $(VENV)
