# Every target runs `setup` first, which does nothing when nothing is to be done.
.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench up clean
SHELL := /bin/bash
export PYTHON

CHURNLAKE := .venv/bin/churnlake

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' Makefile

setup:  ## Java found, packages and jars installed, all hashes checked
	@python="$$(sh infra/python.sh)" && "$$python" -m infra.toolchain

demo: setup  ## a real web shop: history, a model, three nights, who is most at risk (AGAIN=1 starts over)
	@echo "[4/4] demo: a real web shop, 305 daily files"
	@$(CHURNLAKE) demo $(if $(AGAIN),--again)

test: setup  ## every test, in two processes, with the slowest named
	.venv/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=15

check: setup  ## format, lint, types, import directions, images, locks
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/python -m mypy
	.venv/bin/lint-imports
	.venv/bin/hadolint infra/docker/Dockerfile.spark infra/docker/Dockerfile.flows
	.venv/bin/python -m infra.tidiness

bench: setup  ## what the speed claims rest on
	.venv/bin/python -m benchmarks.start_up
	.venv/bin/python -m benchmarks.validation
	.venv/bin/python -m benchmarks.features --customers 50000 --repeats 1

up: setup  ## Prefect, MLflow and the report pages, on this machine only
	@$(CHURNLAKE) up

clean:  ## remove what set-up made; lake, ledger and warehouse in .churnlake stay
	rm -rf .venv .jars .cache .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
