# Two commands do all the set-up: `make run` and `make test`. `uv` is used when it is there, else pip.
PYTHON ?= python3
VENV := .venv
PEERS := .venv-peers
BIN := $(VENV)/bin
ARGS ?=
RUNS ?= 1
ROW ?=
STRICT := trading_system/domain/*,trading_system/risk/*,trading_system/execution/*,optimizers/costs/*
UV := $(shell command -v uv 2>/dev/null)

ifeq ($(UV),)
install = $(1)/bin/pip install -qq --disable-pip-version-check
else
install = $(UV) pip install --quiet --python $(1)/bin/python
endif

debian = { echo "installing Debian's $(1)" >&2; $(SUDO) apt-get update -qq && \
  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(1); }
SUDO := $(shell test "$$(id -u)" = 0 || echo sudo)

export OPENBLAS_NUM_THREADS ?= 1

.PHONY: run test check browser fuzz crash regional wire replay-check live-check conformance bench lock clean format
.DELETE_ON_ERROR:

$(VENV)/.runtime: requirements/runtime.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing runtime dependencies into $(VENV) (about a minute the first time)" >&2
	@$(call install,$(VENV)) --require-hashes -r requirements/runtime.lock
	@$(call install,$(VENV)) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements/dev.lock $(VENV)/.runtime
	@echo "installing development dependencies into $(VENV)" >&2
	@$(call install,$(VENV)) --require-hashes -r requirements/dev.lock
	@touch $@

$(PEERS)/.ready: requirements/peers.lock
	@test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	@echo "installing the real Bybit clients into $(PEERS)" >&2
	@$(call install,$(PEERS)) --require-hashes -r requirements/peers.lock
	@touch $@

run: $(VENV)/.runtime
	@exec $(BIN)/trading-system start $(ARGS)

test: $(VENV)/.dev
	@$(BIN)/python -m trading_system.market.warm
ifeq ($(ARGS),)
	@rm -f .coverage .coverage.*
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not no_cover and not browser" --cov --cov-report=
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "no_cover and not browser"
	$(BIN)/coverage report --include='$(STRICT)' --fail-under=100
	$(BIN)/coverage report --fail-under=90
else
	$(BIN)/python -m pytest -n 2 --dist loadgroup $(ARGS)
endif

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The web faces as a whole: attacks, metrics by a real Prometheus, pages in Debian's Chromium, and a
# search for leaked secrets, against the running system.
browser: $(VENV)/.dev
	@command -v chromium >/dev/null || $(call debian,chromium)
	@command -v prometheus >/dev/null || $(call debian,prometheus)
ifeq ($(ARGS),)
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m browser tests/unit tests/hostile \
	  tests/observability --ignore=tests/hostile/test_canary.py
	$(BIN)/python -m pytest -n 0 -m browser tests/browser tests/hostile/test_canary.py
else
	$(BIN)/python -m pytest -n 0 -m browser $(ARGS)
endif

fuzz: $(VENV)/.dev
	FUZZ=1 $(BIN)/python -m pytest -n 2 tests/property $(ARGS)

crash: $(VENV)/.dev
	$(BIN)/python tests/crash/run.py --runs $(RUNS) $(ARGS)

regional: $(VENV)/.runtime
	$(BIN)/python tests/regional/run.py $(ARGS)

# Every connection fault over real sockets, by a TCP proxy and the venue's own faults; 5 minutes.
wire: $(VENV)/.runtime
	$(BIN)/python tests/wire/run.py $(ARGS)

# Each 2024 recording through the venue and the system; TRADING_TEST_DATA names their folder.
replay-check: $(VENV)/.runtime
	$(BIN)/python tests/replay/run.py $(ARGS)

# Compares testnet or demo with the embedded venue; see docs/testnet.md for what it needs.
live-check: $(VENV)/.runtime
	@$(BIN)/python -m trading_system.cli.live_check $(ARGS)

conformance: $(VENV)/.runtime $(PEERS)/.ready
	$(PEERS)/bin/python tests/conformance/run.py --venue $(BIN)/trading-system --runs $(RUNS) $(ARGS)

bench: $(VENV)/.dev $(PEERS)/.ready
	$(BIN)/python -m benchmarks $(if $(ROW),--row $(ROW)) $(ARGS)

# Resolve the exact, hashed dependency sets anew; needs uv. The files name no package index.
lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  requirements/runtime.in requirements/dev.in -o requirements/dev.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  requirements/runtime.in -c requirements/dev.lock -o requirements/runtime.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  requirements/peers.in -o requirements/peers.lock

clean:
	rm -rf $(VENV) $(PEERS) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
