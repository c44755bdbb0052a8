# Every target sets up what it needs, says what it does, and is safe to repeat.
#
#   PYTHON=python3.12          which Python makes .venv
#   PORT=9000 HOST=0.0.0.0     where `make run` serves
#   CATALOG_DATABASE_URL=…     which database `make run` serves
#   ARGS="-k cone"             more for pytest
#   SOAK_SECONDS=600           how long `make soak` kills, on each engine
#   ARGS="--packages 100000"   less for `make bench`; --help says what else

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= $(shell .ci/python)
PACKAGES ?= 2000
SEED ?= 1
SOAK_SECONDS ?= 180
WORKERS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); echo $$(( n < 2 ? 2 : n > 8 ? 8 : n )))
BIN := .venv/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt
DEMO := var/catalog.db
CHOSEN := $(if $(value CATALOG_DATABASE_URL)$(wildcard catalog.toml),prepared,$(DEMO))

.PHONY: run test check bench soak docs help prepared

help: ## say what there is
	@grep -E '^[a-z]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

run: .venv/.run $(CHOSEN) ## serve a synthetic observatory, or the database of CATALOG_DATABASE_URL
	@exec $(BIN)/catalog serve $(if $(HOST),--host $(HOST)) $(if $(PORT),--port $(PORT))

test: .venv/.test ## install what the tests need and run them all
	@.ci/debian tests
	@echo "== running the tests on $(WORKERS) workers"
	TMPDIR=$$(.ci/scratch) $(BIN)/python -m pytest -n $(WORKERS) -m "not slow" $(ARGS)

check: .venv/.test ## format, lint, types, floors
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/.test ## fill a million packages on both engines and measure: figures, ratios, var/bench.json
	@.ci/debian tests
	@PYTHONPATH=tests $(BIN)/python -m bench $(ARGS)

soak: .venv/.test ## delete copies for minutes while clients and servers are killed, and plan very many files
	@.ci/debian tests
	SOAK_SECONDS=$(SOAK_SECONDS) $(BIN)/python -m pytest -s tests/opsdb/test_deletion_kills.py $(ARGS)
	$(BIN)/python -m pytest -m slow -s $(ARGS)

docs: .venv/.docs ## build the documentation into docs/_build/html
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going -b html docs docs/_build/html
	@echo "== docs/_build/html/index.html"

prepared: .venv/.run
	@echo "== preparing the database of your settings"
	$(BIN)/catalog init

# The demonstration is made under another name, so that one that was interrupted is made again.
$(DEMO): | .venv/.run
	@echo "== making $@ with $(PACKAGES) synthetic packages"
	@mkdir -p $(@D) && rm -f $@.new $@.new-wal $@.new-shm
	@CATALOG_DATABASE_URL=sqlite:///$@.new $(BIN)/catalog init
	@CATALOG_DATABASE_URL=sqlite:///$@.new $(BIN)/catalog demo --packages $(PACKAGES) --seed $(SEED)
	@$(BIN)/python -c "import sqlite3; sqlite3.connect('$@.new').execute('PRAGMA wal_checkpoint(TRUNCATE)')"
	@mv $@.new $@ && rm -f $@.new-wal $@.new-shm

# A file of our own says that .venv is whole: its python is there before its pip is.
.venv/.made:
	@.ci/python --check "$(PYTHON)"
	@.ci/debian venv "$(PYTHON)"
	@echo "== making .venv with $$("$(PYTHON)" --version)"
	@"$(PYTHON)" -m venv --clear .venv
	@touch $@

# What is installed for running, for testing and checking, for the documentation; again when either file changes.
.venv/.run: pyproject.toml constraints.txt | .venv/.made
	@echo "== installing the catalog into .venv"
	@$(PIP) --editable .
	@touch $@

.venv/.test: pyproject.toml constraints.txt | .venv/.made
	@echo "== installing the catalog and the tools of its tests into .venv"
	@$(PIP) --editable '.[test,check]'
	@touch $@ .venv/.run

.venv/.docs: pyproject.toml constraints.txt | .venv/.made
	@echo "== installing the catalog and the tools of its documentation into .venv"
	@$(PIP) --editable '.[docs]'
	@touch $@ .venv/.run
