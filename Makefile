# Each target sets up what it needs by itself: Python 3.11+, git and make are enough.
UV := 0.13.9
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help test lint types contracts migrations openapi rules unit bench demo demo-once serve lock format clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

.venv/.ok: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q --disable-pip-version-check uv==$(UV)
	$(BIN)/uv pip sync -q --python $(BIN)/python --require-hashes requirements.lock
	$(BIN)/uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .
	touch $@

test: lint types contracts migrations openapi rules unit ## everything that must hold, on SQLite and on a real PostgreSQL

lint: .venv/.ok
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/hadolint deploy/Dockerfile

types: .venv/.ok
	$(BIN)/mypy

contracts: .venv/.ok
	$(BIN)/lint-imports

migrations: .venv/.ok
	$(BIN)/python -m pytest -q tests/migrations

openapi: .venv/.ok
	$(BIN)/dozor openapi --check

rules: .venv/.ok
	$(BIN)/dozor rules test

unit: .venv/.ok
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

bench: .venv/.ok ## speed, as ratios measured side by side
	$(BIN)/python -m tests.bench $(BENCH)

demo: .venv/.ok ## the main job, live, in one command (Ctrl-C ends it)
	$(BIN)/dozor demo

demo-once: .venv/.ok ## the same, bounded; exits 1 if Dozor and the simulator count differently
	$(BIN)/dozor demo --once

serve: .venv/.ok ## receive, work and answer in one process on SQLite
	$(BIN)/dozor serve

lock: ## renew requirements.lock
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 pyproject.toml --group dev -o requirements.lock

format: .venv/.ok ## put the code into shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix-only -q .

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
