# Everything starts from here; no step comes before `make run` or `make test`.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN_READY := $(VENV)/.ready-run
DEV_READY := $(VENV)/.ready-dev
LOWEST := .venv-lowest
MUTANTS := .venv-mutants
AUDIT := .venv-audit
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PYTEST = $(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist loadfile
ONCE ?=
ARGS ?=
TEST_PROCESSES ?= 5
QUICK_PROCESSES ?= 3

# Tests start hundreds of processes: what they import is compiled once.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run test test-quick test-soak chaos containers coverage mutants check check-lowest audit bench bench-peers fmt clean

help: ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1 -- /'

run: $(RUN_READY) ## a real migration through the whole pipeline, on a local Kafka (ONCE=1: exit when done)
	@ONCE=$(ONCE) $(BIN)/taskstream demo $(ARGS)

test: $(DEV_READY) ## all tests, on a real broker
	@$(PYTEST) --pure-first --no-loadscope-reorder $(ARGS)

test-quick: $(DEV_READY) ## the tests that need no service and take no time, properties on a tenth of their examples
	@$(BIN)/python -m pytest --numprocesses $(QUICK_PROCESSES) --dist loadfile -q -m "not services and not slow" --hypothesis-profile=quick \
		--ignore tests/pipeline $(ARGS)

test-soak: $(DEV_READY) ## the whole suite again and again, in random order (ARGS="--times 10 --busy 2": every second run on a busy machine)
	@$(BIN)/python -m tests.run.soak --processes $(TEST_PROCESSES) $(ARGS)

chaos: $(DEV_READY) ## the tests that kill at random moments, for minutes (ARGS="--kills 30 --seed 7")
	@$(BIN)/python -m tests.run.chaos $(ARGS)

containers: $(DEV_READY) ## the image and the Compose file on a Docker engine of their own, checked from outside (root, Debian's packages)
	@$(BIN)/python -m tests.containers $(ARGS)

# Compiled loops cannot be traced: they run as the Python that they are written in.
coverage: $(DEV_READY) ## lines and branches of the pure code that its tests reach, one line per file (about five minutes)
	@mkdir -p build
	@$(BIN)/coverage run -m pytest -q -p no:randomly -p tests.run.interpreted tests/consumer/state tests/schemas/codec \
		tests/producer/events tests/producer/callers $(ARGS)
	@$(BIN)/coverage report

mutants: $(DEV_READY) $(MUTANTS)/.ready ## small changes of the fold's rules that no test notices (ARGS="--minutes 30 --seed 7")
	@$(BIN)/python -m tests.run.mutants $(MUTANTS)/bin/python $(ARGS)

check: $(DEV_READY) ## format, lint, strict types, import rules
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q -p no:randomly tests/test_rooms.py tests/test_public_api.py tests/test_design_map.py

check-lowest: $(LOWEST)/.ready ## the unit tests on the lowest versions that pyproject.toml allows
	@NUMBA_CACHE_DIR=$(abspath $(LOWEST))/numba $(LOWEST)/bin/python -m pytest --numprocesses $(TEST_PROCESSES) --dist loadfile \
		--ignore tests/pipeline -m "not services" $(ARGS)

audit: $(DEV_READY) $(AUDIT)/.ready ## known vulnerabilities of what is installed, where a database can be reached
	@$(BIN)/python -m tests.run.audit $(AUDIT)/bin/pip-audit "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"

bench: $(VENV)/.bench ## every figure of the README, measured again (ARGS="edge codec": only those)
	@$(BIN)/python -m benchmarks $(ARGS)

bench-peers: $(DEV_READY) ## edge, worker and restore beside Go, Rust and the JVM, interleaved (ARGS="worker --events 2000000 --series 20000 200000")
	@$(BIN)/python -m benchmarks.peers $(ARGS)

fmt: $(DEV_READY) ## format and mend what can be mended
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean: ## remove what was built here (the Kafka cache stays: it is shared)
	rm -rf $(VENV) $(LOWEST) $(MUTANTS) $(AUDIT) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What running needs; build.txt is what pip needs to install this tree in place.
$(RUN_READY): requirements/run.txt requirements/build.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "python3 is missing: install Python 3.11 or newer (Debian: apt-get install python3 python3-venv)"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$$($(PYTHON) --version) is too old: Python 3.11 or newer is needed (make PYTHON=python3.12 ...)"; exit 1; }
	@command -v java >/dev/null || { echo "java is missing: install Java 17 or newer (Debian: apt-get install openjdk-17-jre-headless)"; exit 1; }
	@command -v mvn >/dev/null || { echo "mvn is missing: install Maven (Debian: apt-get install maven)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "python3 cannot make a virtual environment: install its venv module (Debian: apt-get install python3-venv)"; exit 1; }
	@echo "installing the pinned dependencies into $(VENV) ..."
	@$(PIP_INSTALL) --require-hashes -r requirements/run.txt -r requirements/build.txt
	@$(PIP_INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

# dev.txt pins everything in run.txt at the same versions, so this only adds.
$(DEV_READY): requirements/dev.txt $(RUN_READY)
	@echo "adding what the tests and checks need to $(VENV) ..."
	@$(PIP_INSTALL) --require-hashes -r requirements/dev.txt
	@touch $@

$(LOWEST)/.ready: requirements/lowest.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] not in {(3, 11), (3, 12)})' || { echo "the lowest versions have no wheels for $$($(PYTHON) --version): Python 3.11 or 3.12 is needed (make PYTHON=python3.12 ...)"; exit 1; }
	@$(PYTHON) -m venv --clear $(LOWEST)
	@echo "installing the lowest versions into $(LOWEST) ..."
	@$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/lowest.txt
	@$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(MUTANTS)/.ready: requirements/mutants.txt
	@$(PYTHON) -m venv --clear $(MUTANTS)
	@$(MUTANTS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/mutants.txt
	@touch $@

$(AUDIT)/.ready: requirements/audit.txt
	@$(PYTHON) -m venv --clear $(AUDIT)
	@$(AUDIT)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/audit.txt
	@touch $@

$(VENV)/.bench: $(DEV_READY) requirements/bench.txt
	@echo "installing what the benchmarks compare with ..."
	@$(PIP_INSTALL) --require-hashes -r requirements/bench.txt
	@touch $@
