# Everything from an empty clone: Python >= 3.11 and make are all that must be there.
PYTHON ?= python3
SUITE ?= bench
BASE ?= main
BIN = .venv/bin
BESIDE = -n auto --dist worksteal # tests beside each other, on every core

.PHONY: bench test test-all gate perf benchmarks check docs schema clean

bench: .venv/.ready ## train a suite and show its leaderboard: make bench SUITE=suites/smoke.toml
	$(BIN)/ganbench run $(SUITE)

test: check ## format, lint, types, and the tests with one real suite among them
	$(BIN)/python -m pytest -m "not slow" $(BESIDE)

test-all: check ## the slow batteries too
	$(BIN)/python -m pytest $(BESIDE)

gate: .venv/.ready ## is quality proven to be worse than the baseline's? Some minutes on two cores
	$(BIN)/ganbench gate gate --device cpu

perf: .venv/.ready-dev ## is this slower or larger than another revision? make perf BASE=v0.1
	$(BIN)/ganbench perf --base $(BASE) --device cpu

check: .venv/.ready-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

benchmarks: .venv/.ready-dev ## speed and memory, by pytest-benchmark
	$(BIN)/python -m pytest tests/benchmarks --benchmark-only

docs: .venv/.ready-dev ## the site, in build/docs; any warning is an error
	$(BIN)/python -m sphinx -W --keep-going -E -q docs build/docs

schema: .venv/.ready ## the JSON Schema of suite files, which editors complete by
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
