# Hornbook's commands. Each does its own set-up, and each is safe to repeat: an environment is made once
# and made again only when pyproject.toml or constraints.txt change.
#
#     make quickstart                      a language model in minutes
#     make test                            everything that must hold before a change is merged
#
# Variables: PYTHON=python3.12 (the interpreter), VENV=folder (the environment), MINUTES=10 (the training
# budget of quickstart), ARGS="..." (more options for it), PIP_ARGS="..." (options for every pip install),
# WORKERS=4 (processes that tests run in), PYTEST_ARGS="..." (options for pytest).

SHELL := /bin/sh
PYTHON ?= python3
VENV ?= .venv
MINUTES ?=
ARGS ?=
PIP_ARGS ?=
WORKERS ?= 2
PYTEST_ARGS ?=

PIP := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $(PIP_ARGS)
# Each process begins with its share of the files, whose tests share models that take long to make; one that has
# no more takes tests from the end of another's share, so that none waits for a long file.
PYTEST := $(VENV)/bin/python -m pytest -n $(WORKERS) --dist worksteal
PINNED := pyproject.toml constraints.txt

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help quickstart test check lint types format surface families clean interpreter

help:
	@echo 'make quickstart   build a language model from nothing (MINUTES=n, ARGS="--text folder")'
	@echo 'make check        lint, types and the quick tests'
	@echo 'make test         lint, types and all tests'
	@echo 'make format       put the source in the house style'
	@echo 'make surface      freeze the public surface as it stands'
	@echo 'make families     measure how close published models come, into docs/families.md'
	@echo 'make clean        delete the environment and the caches; runs are kept'

quickstart: $(VENV)/.installed
	@$(VENV)/bin/hornbook quickstart $(if $(MINUTES),--minutes $(MINUTES)) $(ARGS)

test: lint types
	@$(PYTEST) $(PYTEST_ARGS)

check: lint types
	@$(PYTEST) -m 'not slow' $(PYTEST_ARGS)

lint: $(VENV)/.installed-dev
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check --quiet . || { echo 'not in the house style; type: make format' >&2; exit 1; }

types: $(VENV)/.installed-dev
	@$(VENV)/bin/mypy

format: $(VENV)/.installed-dev
	@$(VENV)/bin/ruff check --fix .
	@$(VENV)/bin/ruff format .

surface: $(VENV)/.installed-dev
	@PYTHONPATH=tests $(VENV)/bin/python -m architecture.surface

families: $(VENV)/.installed-dev
	@PYTHONPATH=tests $(VENV)/bin/python -m checkpoint.families_table

clean:
	@test ! -e $(VENV)/.created || rm -rf $(VENV)
	rm -rf build dist hornbook.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find hornbook tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps are written last, so that an install that was interrupted is done again.

$(VENV)/.installed: $(PINNED) $(VENV)/.created | interpreter
	@echo 'Installing Hornbook into $(VENV) (once; a few minutes where torch must be downloaded) ...'
	@$(PIP) -e .
	@touch $@

$(VENV)/.installed-dev: $(PINNED) $(VENV)/.created | interpreter
	@echo 'Installing Hornbook and its checks into $(VENV) (once; a few minutes where torch must be downloaded) ...'
	@$(PIP) -e '.[dev]'
	@touch $(VENV)/.installed $@

$(VENV)/.created: | interpreter
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# An environment that exists keeps its interpreter; asking for another one is refused, not passed over.
interpreter:
	@$(PYTHON) -c '' 2>/dev/null || { \
	    echo '$(PYTHON) does not run on this machine; name a Python 3.11 or later: make PYTHON=python3.12 ...' >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "Hornbook needs Python 3.11 or later, and $(PYTHON) is $$($(PYTHON) -V); type: make PYTHON=python3.12 ..." >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo '$(PYTHON) cannot make environments; install its venv module (Debian, Ubuntu: apt install python3-venv)' >&2; exit 2; }
ifneq ($(origin PYTHON),file)
	@test ! -e $(VENV)/.created || test "$$($(PYTHON) -V)" = "$$($(VENV)/bin/python -V)" || { \
	    echo "$(VENV) holds $$($(VENV)/bin/python -V), and $(PYTHON) is $$($(PYTHON) -V);" \
	         'type make clean first, or choose another folder with VENV=...' >&2; exit 2; }
endif
