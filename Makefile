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
	run-redis run-oms run-broker run-paper run-kill-trip run-kill-clear check-kill sim sim-campaign sim-nightly sim-points sim-mutants chaos bench bench-pipeline bench-restart bench-backtest up down logs status

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo "  (ARGS='...' reaches the command behind demo, test, sim and bench-pipeline; PYTHON=... chooses the interpreter)"

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

# A daemon takes no arguments: NJORD_HOME, NJORD_ENV and the configuration say everything.
run-redis: $(INSTALLED) ## the server of NJORD_HOME (default ./var) in the foreground; daemons run alone wait for one
	$(BIN)/python -m apps.runtime.embedded "$${NJORD_HOME:-var}"

run-md: $(INSTALLED) ## md_ingest in the foreground
	$(BIN)/python -m apps.md_ingest

run-strat: $(INSTALLED) ## strategy_runner in the foreground
	$(BIN)/python -m apps.strategy_runner

run-risk: $(INSTALLED) ## risk_engine in the foreground
	$(BIN)/python -m apps.risk_engine

run-oms: $(INSTALLED) ## oms in the foreground
	$(BIN)/python -m apps.oms

run-broker: $(INSTALLED) ## broker in the foreground
	$(BIN)/python -m apps.broker

run-paper: $(INSTALLED) ## paper_venue in the foreground
	$(BIN)/python -m apps.paper_venue

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

# SEED=7 shows one seed with its faults and its trace.
sim: $(INSTALLED) ## a sample of seeded schedules of the fault simulator, or one of them (SEED=7)
ifdef SEED
	$(BIN)/njord simulate --seed $(SEED) $(ARGS)
else
	$(BIN)/njord simulate --campaign delivery --seeds 100 $(ARGS)
	$(BIN)/njord simulate --seeds 400 $(ARGS)
endif

N ?= 5000
FIRST ?= 0

sim-campaign: $(INSTALLED) ## so many seeds of the order-lifecycle campaign (N=5000 FIRST=0), on every core
	$(BIN)/njord simulate --first $(FIRST) --seeds $(N) $(ARGS)

sim-nightly: $(INSTALLED) ## a million of them
	$(BIN)/njord simulate --first $(FIRST) --seeds 1000000 $(ARGS)

sim-points: $(INSTALLED) ## one short scenario with a death at every single point of it
	$(BIN)/njord simulate --campaign points $(ARGS)

sim-mutants: $(INSTALLED) ## plant known bugs one by one and tell after how many seeds the simulator finds each
	$(BIN)/python -m tests.simulator.mutants $(ARGS)

chaos: $(INSTALLED) ## real processes and a real server under 200 kills and as many other misfortunes, about 15 minutes
	$(BIN)/python -m tests.chaos $(ARGS)

bench: bench-pipeline bench-restart bench-backtest ## every benchmark

bench-pipeline: $(INSTALLED) ## intent to venue through the real processes, beside the floor
	$(BIN)/python -m benchmarks.pipeline $(ARGS)

bench-restart: $(INSTALLED) ## from kill -9 to ready, with few and with many orders in the journal
	$(BIN)/python -m benchmarks.restart $(ARGS)

bench-backtest: $(INSTALLED) ## bars per second of the backtest, and how cost and memory grow with the data
	$(BIN)/python -m benchmarks.backtest $(ARGS)
