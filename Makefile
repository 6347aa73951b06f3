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
.PHONY: help demo test test-extras test-faults test-gpu test-installs test-lowest test-newest coverage docs wheel lint format check clean \
        requirements audit release-version dist installed sbom

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(STAMP)  ## the whole path on a small data set: prep, train, evaluate (about three minutes)
	@rm -rf $(DEMO_RUN)
	$(BIN)/headrace prep $(DEMO_SOURCE)
	$(BIN)/headrace train $(DEMO_SHARDS) --recipe demo --nproc $(NPROC) --out $(DEMO_RUN)
	@echo
	@echo "Shard set: $(DEMO_SHARDS)    Run: $(DEMO_RUN) (recipe, metrics, epochs.csv, checkpoints)"

# A file's tests run in one process, since they share what they made; files are shared out among a few processes.
test: $(STAMP)  ## all tests but the long ones; those on real data run when TINY_IMAGENET names the zip
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

# Each folder of tests/extras has a requirements.txt, an environment of its own under .extras, and its tests.
EXTRAS ?= all
test-extras: $(STAMP)  ## what needs more than a bare install: EXTRAS=all, changed, or names of folders in tests/extras
	VENV=$(VENV) tests/extras/run $(EXTRAS)

test-faults: $(STAMP)  ## the long fault injection: processes killed at random moments, full disks, broken files
	$(BIN)/python -m pytest -m faults
	VENV=$(VENV) PYTEST_MARKS=faults tests/extras/run $(shell grep -lr --include='test_*.py' 'mark.faults' tests/extras | cut -d/ -f3 | sort -u)

test-gpu: $(STAMP)  ## the tests that need an NVIDIA GPU
	$(BIN)/python -m pytest -m gpu

coverage: $(STAMP)  ## the share of lines that `make test` runs, as a figure
	$(BIN)/coverage run -m pytest --durations=0
	$(BIN)/coverage report --skip-covered

docs: $(STAMP)  ## the documents as a site, in build/docs/site
	VENV=$(VENV) tests/extras/run environment docs
	$(BIN)/python -m tests.project.site_source build/docs
	cd build/docs && ../../.extras/docs/bin/zensical build --strict -f zensical.toml

wheel: $(STAMP)  ## build the wheel into dist/
	$(BIN)/python -m build --wheel --outdir dist

requirements: $(STAMP)  ## requirements/cpu.txt again: the tested set, with hashes
	VENV=$(VENV) tests/extras/run environment release
	$(BIN)/python -m tests.project.pinned .extras/release/bin/uv

audit: $(STAMP)  ## known weaknesses of the tested set (asks an online database)
	VENV=$(VENV) tests/extras/run environment release
	.extras/release/bin/pip-audit --strict --disable-pip --require-hashes -r requirements/cpu.txt

test-installs: $(STAMP)  ## the wheel in new environments, with the tested and the lowest versions, and its removal
	VENV=$(VENV) tests/extras/run environment release
	$(BIN)/python -m pytest -m installs

test-lowest: $(STAMP)  ## the tests with the lowest versions that pyproject.toml allows, in build/lowest
	VENV=$(VENV) tests/extras/run environment release
	.extras/release/bin/uv venv --quiet --clear --python $(BIN)/python build/lowest
	.extras/release/bin/uv pip install --quiet --python build/lowest --resolution lowest-direct -e '.[dev]'
	build/lowest/bin/python -m pytest -n auto --maxprocesses 4 --dist loadfile

test-newest: $(STAMP)  ## the tests with what pip resolves today, in build/newest
	$(BIN)/python -m venv --clear build/newest
	build/newest/bin/python -m pip install -qq --disable-pip-version-check -e '.[dev]'
	build/newest/bin/python -m pytest -n auto --maxprocesses 4 --dist loadfile

# The steps of a release, in their order: docs/releasing.md.
TAG ?= $(GITHUB_REF_NAME)
# In the environment, since the name of a tag may hold what a shell would run.
release-version: export TAG := $(TAG)
release-version: $(STAMP)  ## whether TAG, pyproject.toml and CHANGELOG.md name one version
	@$(BIN)/python -m tests.project.release_version

# The time of the commit for every file inside: two builds of a commit have the same bytes.
ifndef SOURCE_DATE_EPOCH
dist wheel: export SOURCE_DATE_EPOCH := $(shell git log -1 --format=%ct 2>/dev/null)
endif
dist: $(STAMP)  ## wheel and sdist, alone in dist/
	rm -rf dist build/lib
	$(BIN)/python -m build --outdir dist

installed: $(STAMP)  ## the built wheel with the tested set, in a new environment build/installed
	$(BIN)/python -m venv --clear build/installed
	build/installed/bin/python -m pip install -qq --disable-pip-version-check torch -c constraints.txt
	build/installed/bin/python -m pip install -qq --disable-pip-version-check --require-hashes --no-deps -r requirements/cpu.txt
	build/installed/bin/python -m pip install -qq --disable-pip-version-check --no-deps dist/*.whl
	build/installed/bin/python -m pip check
	cd build && installed/bin/headrace --version --json

sbom: $(STAMP)  ## a CycloneDX list of what build/installed holds, in build/sbom.cdx.json
	VENV=$(VENV) tests/extras/run environment release
	.extras/release/bin/cyclonedx-py environment build/installed/bin/python --pyproject pyproject.toml --output-reproducible --of JSON -o build/sbom.cdx.json

lint: $(STAMP)  ## style, types, and the words of texts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/python -m tests.project.words
	$(BIN)/mypy

format: $(STAMP)  ## rewrite the sources in the house style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check: lint test  ## what a change must pass: style, types, tests

clean:  ## remove what these targets made: environment, caches, demo
	rm -rf $(VENV) .extras demo build dist .coverage *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Lets tools find this folder by its import name. An sdist and some unpackers of archives have no links.
.src/headrace:
	@mkdir -p .src && ln -sfn .. $@

# A name on PATH may be a shim that only says what it would need, so each candidate is run, not just found.
$(STAMP): pyproject.toml constraints.txt | .src/headrace
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
