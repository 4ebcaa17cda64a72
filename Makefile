# Everything lives in .venv, made from this folder's own files. PYTHON=python3.12 picks another interpreter.
PYTHON  ?= python3
DEMO    ?= fixtures/nccl-missing-rank/evidence
ARGS    ?=
SECONDS ?= 60

VENV    := .venv
BIN     := $(VENV)/bin
PIP     := $(BIN)/python -m pip --disable-pip-version-check --quiet
LOWEST  := .venv-lowest
DIST    := build/wheel
PARALLEL := -n logical --dist loadgroup
SOURCES := pyproject.toml hatch_build.py README.md LICENSE $(shell find hanglens/. rules/. ! -name __pycache__ ! -name '*.pyc')  # folders too: a file may vanish

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-slow test-lowest lint types layers rules check gold bench fuzz conformance clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

venv: $(VENV)/.made  ## an empty virtual environment in .venv

demo: $(VENV)/.wheel  ## diagnose a recorded hang into demo-report.html
	$(BIN)/hanglens analyze $(DEMO) --no-report
	$(BIN)/hanglens analyze $(DEMO) -o demo-report.html
	@echo "The report is $(CURDIR)/demo-report.html: open it in a browser."

test: $(VENV)/.wheel $(VENV)/.extra-test  ## run the tests on the built and installed wheel, on all cores (ARGS="-k nccl")
	$(BIN)/pytest -m "not slow" $(PARALLEL) $(ARGS)

test-slow: $(VENV)/.wheel $(VENV)/.extra-test  ## the slow tests, one after the other: whole jobs, and the report in a browser
	$(BIN)/pytest -m slow $(ARGS)

test-lowest: $(LOWEST)/.made $(VENV)/.wheel  ## run the tests with the oldest releases that pyproject.toml admits
	$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)/bin/python --no-deps --reinstall $(DIST)/hanglens-*.whl
	$(LOWEST)/bin/pytest -m "not slow" $(PARALLEL) $(ARGS)

lint: $(VENV)/.extra-dev  ## style and likely mistakes, by ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.extra-dev  ## types, by mypy --strict
	$(BIN)/mypy

layers: $(VENV)/.extra-dev  ## who may import whom, by import-linter
	$(BIN)/lint-imports --no-cache

rules: $(VENV)/.wheel  ## the rule files: their shape, and the snippets inside them
	$(BIN)/hanglens rules lint
	$(BIN)/hanglens rules test

check: lint types layers rules test  ## all of these gates

gold: $(VENV)/.wheel $(VENV)/.extra-test  ## accept the reports as they are rendered now into tests/gold; look at git diff afterwards
	$(BIN)/pytest tests/report/test_gold.py --accept --quiet

bench: $(VENV)/.wheel  ## large logs beside rg and grep (ARGS="--scale 0.05" for small ones), the dumps of large jobs, hostile archives
	$(BIN)/python -m tests.benchmarks.search $(ARGS)
	$(BIN)/python -m tests.benchmarks.stacks
	$(BIN)/python -m tests.benchmarks.recorders
	$(BIN)/python -m tests.benchmarks.hostile

fuzz: $(VENV)/.wheel $(VENV)/.extra-test  ## mutated evidence through all of it: does anything break, or say what is not so? (SECONDS=600 ARGS="--seed 42")
	$(BIN)/python -m tests.fuzz.fuzz --seconds $(SECONDS) $(ARGS)

conformance: $(VENV)/.wheel  ## do published engines still print what the tables name? Downloads 3.3 GB into build/ (ARGS=sglang)
	$(BIN)/python tests/conformance/conformance.py $(ARGS)

clean:  ## remove what was built, .venv too
	rm -rf $(VENV) $(LOWEST) build dist demo-report.html .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find hanglens tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps lie inside the environment, and so go with it when pyproject.toml changes.
$(VENV)/.made: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "HangLens needs Python 3.10 or newer: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "This Python cannot make virtual environments: install its venv package (Debian: apt install python3-venv)"; exit 1; }
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	@touch $@

# uv can be asked for the oldest releases. Of those that have a wheel for this Python: a release without one is built by nobody.
$(LOWEST)/.made: $(VENV)/.made
	rm -rf $(LOWEST)
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip --disable-pip-version-check --quiet install uv
	$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct --only-binary :all: -r pyproject.toml --extra test
	@touch $@

# pip leaves an installed wheel of the same version as it is, unless it is forced; the dependencies need no forcing.
$(VENV)/.wheel: $(VENV)/.made $(SOURCES)
	rm -rf $(DIST)
	$(PIP) wheel --no-deps --wheel-dir $(DIST) .
	$(PIP) install --force-reinstall --no-deps $(DIST)/hanglens-*.whl
	$(PIP) install $(DIST)/hanglens-*.whl
	@touch $@

$(VENV)/.extra-%: $(VENV)/.made | $(VENV)/.wheel
	$(PIP) install "$$(ls $(DIST)/hanglens-*.whl)[$*]"
	@touch $@
