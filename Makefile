# On a fresh machine: `make quickstart` installs and runs the main job, `make test` installs and tests.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUN_STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev

.PHONY: quickstart test test-slow check format clean

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(RUN_STAMP): $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet -c constraints.txt -e ".[datasets]"
	touch $@

$(DEV_STAMP): $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet -c constraints.txt -e ".[dev]"
	touch $@ $(RUN_STAMP)

quickstart: $(RUN_STAMP)
	$(BIN)/gnnrec compare experiment=quickstart

# A process per core, each with one thread: small tensors gain nothing from more, and processes do not wait for each other.
test: $(DEV_STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal

test-slow: $(DEV_STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow -n auto --dist worksteal --timeout 3600

check: $(DEV_STAMP)
	$(BIN)/ruff format --check gnnrec tests scripts
	$(BIN)/ruff check gnnrec tests scripts
	$(BIN)/mypy gnnrec

format: $(DEV_STAMP)
	$(BIN)/ruff format gnnrec tests scripts
	$(BIN)/ruff check --fix gnnrec tests scripts

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
