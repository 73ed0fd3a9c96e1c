# Everything this repository can do, by name. `make help` lists it; every target sets up what it needs by itself.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest

# Stamps: a set-up step runs again only when what it was made from has changed.
MADE := $(VENV)/.made
INSTALLED := $(VENV)/.installed

.PHONY: help venv install lock pre-commit fmt lint type imports docs tables check-units check test coverage hotspots next demo run-md run-strat run-risk \
	run-oms run-broker run-paper run-kill-trip run-kill-clear check-kill sim chaos bench bench-pipeline bench-restart up down logs status

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo "  (ARGS='...' reaches the command behind demo, test, sim, bench-pipeline and run-*; PYTHON=... chooses the interpreter)"

# Set-up

venv: $(MADE) ## make .venv with PYTHON, 3.11 or newer

$(MADE):
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "make venv: $(PYTHON) is missing or older than Python 3.11; name a newer one: make PYTHON=/path/to/python3 ..." >&2; exit 1; }
	"$(PYTHON)" -m venv --clear $(VENV)
	@touch $@

install: $(INSTALLED) ## install the locked requirements (all extras) and this project, editable

# The lock is complete, so nothing is resolved anew (--no-deps): a resolver would look at releases newer than the lock. `pip check`
# says so if it ever is not.
$(INSTALLED): $(MADE) requirements.lock pyproject.toml
	@echo "installing the locked requirements into $(VENV); the first time this takes about a minute"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(BIN)/python -m pip check --disable-pip-version-check >&2
	@touch $@

# The index a developer uses is nobody else's: the lock names packages, versions and hashes, never an address.
lock: $(MADE) ## write requirements.lock anew from pyproject.toml (ARGS=--upgrade for newer versions)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/python scripts/lock.py $(ARGS)

pre-commit: $(INSTALLED) ## let git run the checks before each commit
	$(BIN)/pre-commit install

# Checks

fmt: $(INSTALLED) ## format the code and mend what ruff can mend
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

lint: $(INSTALLED) ## format and lint, read only
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

type: $(INSTALLED) ## mypy --strict over the tree
	$(BIN)/mypy

imports: $(INSTALLED) ## who may import whom
	$(BIN)/lint-imports --no-logo

docs: $(INSTALLED) ## every link and make target the documents name exists
	$(BIN)/python scripts/check_docs.py

tables: $(INSTALLED) ## write the tables in the documents that mirror code anew
	$(BIN)/python -m scripts.generate_docs

check-units: $(INSTALLED) ## hold the systemd units against systemd's own checks (needs systemd-analyze)
	$(BIN)/python scripts/check_units.py

hotspots: $(INSTALLED) ## list the functions most worth a reviewer's time; fails on a swallowed error or a clock in a decision
	$(BIN)/python scripts/find_hotspots.py

check: lint type imports docs hotspots ## all of the above, without running a test

# The unit tier first: it is quick, and what it finds the slower tiers would only repeat.
test: $(INSTALLED) ## unit and golden tests, then integration, end to end and simulator
	$(PYTEST) -m "(unit or golden) and not slow" -n 2 --durations=10 $(ARGS)
	$(PYTEST) -m "(integration or e2e or simulator) and not slow" --durations=10 $(ARGS)

# Apart from `test`, because measuring slows the code that is timed. The machines are held to more than the shell around them.
coverage: $(INSTALLED) ## unit tier with branch coverage: at least 80 % of everything, 95 % of core, risk and execution
	$(PYTEST) -m "(unit or golden) and not slow" --cov --cov-report=xml $(ARGS)
	$(BIN)/coverage report --fail-under=80
	$(BIN)/coverage report --fail-under=95 --include='core/*,risk/*,execution/*'

next: $(INSTALLED) ## the next open task of the roadmap
	@$(BIN)/python scripts/next_task.py

# Running

demo: $(INSTALLED) ## the whole suite on real daily bars, about two minutes
	$(BIN)/njord demo $(ARGS)

up: $(INSTALLED) ## start the suite of NJORD_HOME (default ./var)
	$(BIN)/njord up $(ARGS)

down: $(INSTALLED) ## stop it, draining
	$(BIN)/njord down $(ARGS)

logs: $(INSTALLED) ## its logs, merged by time
	$(BIN)/njord logs $(ARGS)

status: $(INSTALLED) ## which daemons live, and how far they are
	$(BIN)/njord status $(ARGS)

run-md: $(INSTALLED) ## md_ingest in the foreground
	$(BIN)/python -m apps.md_ingest $(ARGS)

run-strat: $(INSTALLED) ## strategy_runner in the foreground
	$(BIN)/python -m apps.strategy_runner $(ARGS)

run-risk: $(INSTALLED) ## risk_engine in the foreground
	$(BIN)/python -m apps.risk_engine $(ARGS)

run-oms: $(INSTALLED) ## oms in the foreground
	$(BIN)/python -m apps.oms $(ARGS)

run-broker: $(INSTALLED) ## broker in the foreground
	$(BIN)/python -m apps.broker $(ARGS)

run-paper: $(INSTALLED) ## paper_venue in the foreground
	$(BIN)/python -m apps.paper_venue $(ARGS)

# The kill switch needs nothing installed and nothing running. REASON reaches it through the environment and as it was typed:
# `value` keeps make from expanding it, so nothing in it can become a command, of make's or of the shell's.
unexport REASON
run-kill-trip run-kill-clear: export NJORD_KILL_REASON := $(value REASON)

run-kill-trip: ## stop trading now (REASON='...')
	@deploy/kill-switch trip -- "$${NJORD_KILL_REASON:-make run-kill-trip}"

run-kill-clear: ## allow trading again (REASON='...')
	@deploy/kill-switch clear -- "$${NJORD_KILL_REASON:-make run-kill-clear}"

check-kill: ## exit 0 when clear, 3 when tripped
	@deploy/kill-switch status

# Proof

sim: $(INSTALLED) ## a sample of seeded schedules of the fault simulator
	$(BIN)/njord simulate $(ARGS)

chaos: $(INSTALLED) ## real processes and a real server under 200 kills and as many other misfortunes, about 15 minutes
	$(BIN)/python -m tests.chaos $(ARGS)

bench: bench-pipeline bench-restart ## every benchmark

bench-pipeline: $(INSTALLED) ## intent to venue through the real processes, beside the floor
	$(BIN)/python -m benchmarks.pipeline $(ARGS)

bench-restart: $(INSTALLED) ## from kill -9 to ready, with few and with many orders in the journal
	$(BIN)/python -m benchmarks.restart $(ARGS)
