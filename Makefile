# The commands of a checkout. They need Python >= 3.11, npm and make; everything else is fetched into this folder, from
# package registries alone, once and again when its pins change.

.DELETE_ON_ERROR:
.PHONY: help setup run test lint fuzz bench clean
.DEFAULT_GOAL := help

# Settings of `make run`.
UPSTREAM ?=
UPSTREAM_KIND ?=
PLC_URL ?=
VERIFY ?=
PORT ?= 8787
STATE_DIR ?= .state

# Setting of `make fuzz`: for each target.
FUZZ_SECONDS ?= 60

PYTHON ?= python3
BIN := .venv/bin
VENV_STAMP := .venv/.installed
NPM_STAMP := node_modules/.installed

help:
	@echo 'make run     a relay on this machine, connected to a simulated network; its state stays in STATE_DIR'
	@echo '             with a real host: make run UPSTREAM=wss://host [PLC_URL= VERIFY= UPSTREAM_KIND=] [PORT= STATE_DIR=]'
	@echo 'make test    all checks'
	@echo 'make lint    only those that run nothing: ruff and mypy'
	@echo 'make fuzz    a coverage-guided search for inputs that raise what they must not: FUZZ_SECONDS= (60) for each of'
	@echo '             eighteen targets, going on where the last search ended; ends with an error if something is found'
	@echo 'make bench   the benchmarks'
	@echo 'make setup   only fetch and prepare what the others need'
	@echo 'make clean   remove what setup made'

run: setup
	@$(BIN)/edgerelay run --port '$(PORT)' --state-dir '$(STATE_DIR)' \
	  $(if $(UPSTREAM),--upstream '$(UPSTREAM)') \
	  $(if $(UPSTREAM_KIND),--upstream-kind '$(UPSTREAM_KIND)') \
	  $(if $(PLC_URL),--plc-url '$(PLC_URL)') \
	  $(if $(VERIFY),--verify '$(VERIFY)')

test: setup lint
	$(BIN)/python -m pytest

lint: $(VENV_STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fuzz: setup
	@$(BIN)/python -m tests.fuzz --seconds '$(FUZZ_SECONDS)'

bench: setup
	$(BIN)/python bench/ingest.py
	$(BIN)/python bench/fanout.py
	$(BIN)/python bench/replay.py
	$(BIN)/python bench/replay.py --days
	$(BIN)/python bench/accounts.py
	$(BIN)/python bench/identities.py
	$(BIN)/python bench/block_codecs.py
	$(BIN)/python bench/storage.py
	$(BIN)/python bench/compaction.py
	$(BIN)/python bench/verify.py
	$(BIN)/python bench/lines.py
	$(BIN)/python bench/jetstream.py
	$(BIN)/python bench/lookups.py

setup: $(VENV_STAMP) $(NPM_STAMP)
	@$(BIN)/python -m edgerelay_dev.offline

# Installed editable, so that only a change of the pins asks for a new install.
$(VENV_STAMP): pyproject.toml
	@command -v '$(PYTHON)' > /dev/null || { echo 'needed: Python >= 3.11 as $(PYTHON), or make PYTHON=...' >&2; exit 1; }
	@'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "needed: Python >= 3.11; $(PYTHON) is $$('$(PYTHON)' --version)" >&2; exit 1; }
	@'$(PYTHON)' -c 'import ensurepip, venv' 2> /dev/null \
	  || { echo 'needed: the modules venv and ensurepip of Python (Debian: the package python3-venv)' >&2; exit 1; }
	@echo 'setup: Python packages into .venv'
	@test -x $(BIN)/python || '$(PYTHON)' -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,s3,test]'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary atheris --editable '.[fuzz]' \
	  2> /dev/null || echo 'setup: going on without the fuzzer: no wheel of atheris for this Python and platform'
	@touch $@

$(NPM_STAMP): package.json package-lock.json
	@command -v npm > /dev/null || { echo 'needed: npm, with any Node from 20 on' >&2; exit 1; }
	@echo 'setup: Node, wrangler, workerd and Pyodide into node_modules'
	@npm ci --no-audit --no-fund --loglevel=error > /dev/null
	@touch $@

clean:
	rm -rf .venv .offline .fuzz node_modules python_modules tests/peers/node_modules examples/javascript/node_modules
