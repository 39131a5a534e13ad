# make repro   the whole pipeline with params.yaml, then the results table
# make demo    the tiny profile in a temporary copy
# make test    the tests
# make test-slow   tests of minutes each: the pipeline with Claude, a quantised model shared by processes
# make fuzz    the scorers on 10,000 random texts (minutes)
# Every target first makes .venv with the versions of constraints.txt.

PYTHON ?= python3
VENV := $(CURDIR)/.venv
export PATH := $(VENV)/bin:$(PATH)
export VIRTUAL_ENV := $(VENV)

.PHONY: repro demo test test-slow fuzz lint setup clean

repro: setup
	dvc repro
	luau-rft results

demo: setup
	luau-rft demo

test: setup
	pytest

test-slow: setup
	pytest -m slow

fuzz: setup
	FUZZ_CASES=10000 pytest tests/scorers/test_fuzz.py

lint: setup
	ruff check .
	ruff format --check .

setup: .venv/installed

# torch comes first, by its pin, so that nothing else chooses another build of it.
.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'error: Python 3.11 or newer is needed; try make PYTHON=python3.12 $(MAKECMDGOALS)'; exit 1; }
	$(PYTHON) -m venv .venv
	pip install --quiet --constraint constraints.txt torch
	pip install --quiet --constraint constraints.txt --editable '.[embedded,dev]'
	@touch $@

clean:
	rm -rf .venv .cache
