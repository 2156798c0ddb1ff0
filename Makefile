# Two commands do all the set-up: `make demo` and `make test`. Both work twice in a row, from any state.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# As many processes as there are cores, but each takes 1.5 GB with TensorFlow and PyTorch in it.
ACROSS := -n auto --maxprocesses 4 --dist worksteal

.PHONY: demo test prove check bench mutate clean

demo: $(VENV)/.demo
	$(BIN)/python examples/demo.py

test: $(VENV)/.test
	$(BIN)/python -m pytest $(ACROSS) -q -m "not slow"

prove: $(VENV)/.test
	GATEPORT_LIVE_EXAMPLES=10 $(BIN)/python -m pytest $(ACROSS) -q

check: $(VENV)/.check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check layouts converters gateport tests benchmarks examples
	$(BIN)/mypy

bench: $(VENV)/.test
	$(BIN)/python benchmarks/convert.py

# Damages one place at a time and lists what no test notices: make mutate PATHS="converters/planning" COUNT=100
PATHS ?= layouts/frameworks
COUNT ?= 200
mutate: $(VENV)/.test
	$(BIN)/python tests/mutation.py $(PATHS) --count $(COUNT)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(VENV)/bin/python pyproject.toml constraints.txt
	$(INSTALL) -e .
	touch $@

$(VENV)/.test: $(VENV)/.demo
	$(INSTALL) -e '.[test]'
	touch $@

$(VENV)/.check: $(VENV)/.demo
	$(INSTALL) -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV)
