# Everything a newcomer needs is `make run` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
TEST_PROCESSES ?= 3

.PHONY: run client test test-slow test-thorough lint load bench-fanout bench-logs bench-migration bench-peers bench-growth bench-storm bench-compression bench-state bench-presence bench-page bench-memory bench-guard clean

run: $(INSTALLED)
	@$(BIN)/tidegate demo

client: $(INSTALLED)
	@$(BIN)/python -m tests.support.client_bundle

# Much of a test is waiting, so there are more processes than cores, each with a server of its own of every kind.
# Browsers do not wait: theirs are tested first, by fewer.
PYTEST := $(BIN)/python -m pytest --dist loadfile --no-loadscope-reorder
test: lint
	@failed=0; \
	$(PYTEST) -m "not slow" -n 2 tests/browser || failed=1; \
	$(PYTEST) -m "not slow" -n $(TEST_PROCESSES) tests --ignore=tests/browser || failed=1; \
	exit $$failed

# What measures and loads, each by a short run of it. One at a time: they want the machine.
test-slow: $(INSTALLED)
	@$(PYTEST) -m slow

# Every property with twenty times the examples of `make test`, drawn anew each time; the seed repeats a failure.
test-thorough: $(INSTALLED)
	@seed=$${TIDEGATE_HYPOTHESIS_SEED:-$$($(BIN)/python -c 'import secrets; print(secrets.randbits(32))')}; \
	again="The same examples again: TIDEGATE_HYPOTHESIS_SEED=$$seed make test-thorough"; \
	echo "$$again"; \
	TIDEGATE_HYPOTHESIS_PROFILE=thorough $(BIN)/python -m pytest -m hypothesis --hypothesis-seed=$$seed \
	  || { echo "$$again"; exit 1; }

lint: $(INSTALLED)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports
	@$(BIN)/mypy

load: $(INSTALLED)
	@$(BIN)/python loadtests/load.py

bench-fanout: $(INSTALLED)
	@$(BIN)/python loadtests/fanout.py

bench-logs: $(INSTALLED)
	@$(BIN)/python loadtests/logs.py
	@$(BIN)/python loadtests/trigger_cost.py

bench-migration: $(INSTALLED)
	@$(BIN)/python loadtests/migration_cost.py

bench-peers: $(INSTALLED)
	@$(BIN)/python loadtests/peers.py

bench-growth: $(INSTALLED)
	@$(BIN)/python loadtests/growth.py

bench-storm: $(INSTALLED)
	@$(BIN)/python loadtests/storm.py

bench-compression: $(INSTALLED)
	@$(BIN)/python loadtests/compression.py

bench-state: $(INSTALLED)
	@$(BIN)/python loadtests/state.py

bench-presence: $(INSTALLED)
	@$(BIN)/python loadtests/presence.py

bench-page: $(INSTALLED)
	@$(BIN)/python loadtests/page.py

bench-memory: $(INSTALLED)
	@$(BIN)/python loadtests/stream_memory.py

bench-guard: $(INSTALLED)
	@$(BIN)/python loadtests/guard.py

clean:
	rm -rf $(VENV) *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(INSTALLED): pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Tidegate needs Python 3.11 or newer, and there is no $(PYTHON) here: install it, or name one with PYTHON=/path/to/python3.11."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Tidegate needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -c 'import platform; print(platform.python_version())'). Name another one with PYTHON=/path/to/python3.11."; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
	  version=$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "Installing Debian's python$$version-venv, which creating $(VENV) needs ..."; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python$$version-venv >/dev/null; \
	  else \
	    echo "Creating $(VENV) needs one Debian package more: sudo apt-get install python$$version-venv"; exit 1; \
	  fi; }
	@echo "Creating $(VENV) and installing Tidegate into it (about a minute, once) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
