# Every target works from an empty clone with Python >= 3.11.
PYTHON ?= python3
SUITE ?= bench
BASE ?= main
DEVICE ?= cuda
BIN = .venv/bin
PYTEST = $(BIN)/python -m pytest -n auto --dist worksteal # tests/conftest.py has the number of processes

.PHONY: bench test test-fast test-all gate perf benchmarks gpu check docs schema clean

bench: .venv/.ready ## train a suite and show its leaderboard: make bench SUITE=suites/smoke.toml
	$(BIN)/ganbench run $(SUITE)

test: check ## format, lint, types, and all tests that are not slow, with one real suite
	$(PYTEST) -m "not slow"

test-fast: .venv/.ready-dev ## unit and contract tests without heavy ones, in two minutes
	$(PYTEST) -m "not slow and not heavy" tests/unit tests/contract

test-all: check ## the slow batteries too
	$(PYTEST)

gate: .venv/.ready ## test quality against the baseline, in a few minutes on two CPU cores
	$(BIN)/ganbench gate gate --device cpu

perf: .venv/.ready-dev ## compare speed and memory with another revision: make perf BASE=v0.1
	$(BIN)/ganbench perf --base $(BASE) --device cpu

check: .venv/.ready-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

benchmarks: .venv/.ready-dev ## speed and memory, by pytest-benchmark
	$(BIN)/python -m pytest tests/benchmarks --benchmark-only

gpu: .venv/.ready-dev ## check one GPU in four minutes, resumable; a dry run: make gpu DEVICE=cpu
	PYTHONPATH=. $(BIN)/python studies/gpu.py --device $(DEVICE)

docs: .venv/.ready-dev ## the site, in build/docs; a warning is an error
	$(BIN)/python -m sphinx -W --keep-going -E -q docs build/docs

schema: .venv/.ready ## the JSON Schema of suite files
	$(BIN)/python -m ganbench.experiments.suite > suites/suite.schema.json

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .benchmarks

.venv/.ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -e .
	touch $@

.venv/.ready-dev: .venv/.ready
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	touch $@
