# Headrace. `make` alone lists the targets. Nothing needs to be prepared: the first target that needs an
# environment makes .venv and installs into it; later ones do so only when a requirement has changed.

VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# `make demo` takes part of the real data set where TINY_IMAGENET names the official zip or its folder.
NPROC ?= 2
DEMO_RUN := demo/run
ifdef TINY_IMAGENET
DEMO_SHARDS := demo/shards-tiny-imagenet
DEMO_SOURCE := "$(TINY_IMAGENET)" $(DEMO_SHARDS) --classes 10
else
DEMO_SHARDS := demo/shards
DEMO_SOURCE := --demo $(DEMO_SHARDS) --per-class 300
endif

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test test-extras test-faults test-gpu coverage wheel lint format check clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(STAMP)  ## the whole path on a small data set: prep, train, evaluate (about three minutes)
	@rm -rf $(DEMO_RUN)
	$(BIN)/headrace prep $(DEMO_SOURCE)
	$(BIN)/headrace train $(DEMO_SHARDS) --recipe demo --nproc $(NPROC) --out $(DEMO_RUN)
	@echo
	@echo "Shard set: $(DEMO_SHARDS)    Run: $(DEMO_RUN) (recipe, metrics, epochs.csv, checkpoints)"

test: $(STAMP)  ## all tests but the long ones; those on real data run when TINY_IMAGENET names the zip
	$(BIN)/python -m pytest

# Each folder of tests/extras has a requirements.txt, an environment of its own under .extras, and its tests.
EXTRAS ?= all
test-extras: $(STAMP)  ## what needs more than a bare install: EXTRAS=all, changed, or names of folders in tests/extras
	VENV=$(VENV) tests/extras/run $(EXTRAS)

test-faults: $(STAMP)  ## the long fault injection: processes killed at random moments, full disks, broken files
	$(BIN)/python -m pytest -m faults

test-gpu: $(STAMP)  ## the tests that need an NVIDIA GPU
	$(BIN)/python -m pytest -m gpu

coverage: $(STAMP)  ## the share of lines that `make test` runs, as a figure
	$(BIN)/coverage run -m pytest --durations=0
	$(BIN)/coverage report --skip-covered

wheel: $(STAMP)  ## build the wheel into dist/
	$(BIN)/python -m build --wheel --outdir dist

lint: $(STAMP)  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)  ## rewrite the sources in the house style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check: lint test  ## what a change must pass: style, types, tests

clean:  ## remove what these targets made: environment, caches, demo
	rm -rf $(VENV) .extras demo build dist .coverage *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A name on PATH may be a shim that only says what it would need, so each candidate is run, not just found.
$(STAMP): pyproject.toml constraints.txt
	@set -e; if [ ! -e $@ ]; then \
	  for python in $(PYTHON) python3.11 python3.12 python3.13 python3; do \
	    if $$python -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	      echo "Making $(VENV) with $$($$python --version)"; $$python -m venv $(VENV); break; \
	    fi; \
	  done; \
	fi; \
	if [ ! -x $(BIN)/python ]; then \
	  echo "Headrace needs Python 3.11 or newer with its venv module, and none was found on PATH." >&2; \
	  echo "Install it (on Debian: apt-get install python3-venv) or name it: make PYTHON=/path/to/python3.11" >&2; \
	  exit 1; \
	fi
	@echo "Installing Headrace and what it needs into $(VENV); the first time this downloads PyTorch"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -e '.[dev]' -c constraints.txt
	@touch $@
