# `make` alone explains itself. Everything here works in a fresh clone.
.DEFAULT_GOAL := help
SHELL := /bin/bash
# NYLON_RELEASE=1 builds the optimised extension (slow to compile), NYLON_RELEASE=pgo the one that is shipped: optimised for
# a profile of real requests, which takes twice as long. The other targets are happy with a quick one.
PROFILE := $(if $(NYLON_RELEASE),--release $(if $(filter pgo,$(NYLON_RELEASE)),--pgo))
PYTHON := .venv/bin/python

.PHONY: help build run test check format bench wheel fuzz conformance conformance-mutants autobahn chaos generate clean

help: ## show this list
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## compile the extension and leave a working .venv/bin/nylon
	@NYLON_PROFILE="$(PROFILE)" .ci/run --quiet setup build

run: build ## start gateway, NATS, upstream and an auth plugin, and print three curl lines (FREE_PORTS=1: on free ports)
	@$(PYTHON) examples/quickstart/run.py $(if $(FREE_PORTS),--free-ports)

test: ## install what is missing and run every test
	@.ci/run setup build rust-tests go python-tests e2e

check: ## format, lint, types, stub, docs: everything that needs no running gateway
	@.ci/run setup build format lint types stub docs

format: build ## rewrite the sources in the one format
	cargo fmt --all
	.venv/bin/ruff check --fix-only -q .
	.venv/bin/ruff format -q .

generate: build ## write every generated file again: codec constants, vectors, pages of docs/
	$(PYTHON) tools/gen_protocol.py
	$(PYTHON) tools/gen_vectors.py
	$(PYTHON) tools/gen_docs.py
	$(PYTHON) -m conformance.runner --rules write

bench: ## measure the gateway and its peers in one run (release build, takes a while)
	@NYLON_RELEASE=pgo $(MAKE) --no-print-directory build
	@$(PYTHON) benchmarks/run.py

fuzz: ## fuzz frames, requests, answers and WebSockets for longer than CI does (FUZZ_SECONDS, default 600)
	@FUZZ_SECONDS=$${FUZZ_SECONDS:-600} .ci/run fuzz

conformance: build ## judge workers, gateways and plugins behind one from outside (CASES: beginnings of case ids)
	@$(PYTHON) -m conformance.runner $(CASES)

conformance-mutants: build
	@$(PYTHON) -m conformance.runner --mutants

autobahn: build ## judge WebSockets of plugins by the Autobahn suite, which needs a Python 2.7 (CASES: such as 9.1.6 or 6.*)
	@$(PYTHON) -m conformance.autobahn $(CASES)

chaos: build ## kill, stop, delay and part what runs, under load (CHAOS_SECONDS, default 600; CHAOS_SEED)
	@$(PYTHON) -m tests.chaos

wheel: ## build the wheel into dist/
	@NYLON_RELEASE=pgo .ci/run setup wheel

clean: ## remove everything that can be made again
	rm -rf target .venv dist build benchmarks/.work .pytest_cache .ruff_cache python/nylon/_core*.so
	find python tests examples tools conformance -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
