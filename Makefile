# Everything a newcomer needs: `make run`, `make test`. `make check` is what a change must pass besides.
# PYTHON=python3.12 make run   picks another interpreter for the virtual environment.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

# Bytecode is kept: the tests start hundreds of processes, each of which would compile our sources.
unexport PYTHONDONTWRITEBYTECODE

BESIDE := tests/nodes tests/sdk tests/graph tests/data tests/export tests/importing tests/cli

.PHONY: run demo test check format screenshots clean

run: $(VENV)/installed
	$(BIN)/netwright

demo: $(VENV)/installed
	$(BIN)/netwright demo

# Tests of the components, files and commands first; those with windows, engines and trainers keep to one of two processes
# by file.
test: $(VENV)/installed
	OMP_NUM_THREADS=1 QT_QPA_PLATFORM=offscreen $(BIN)/python -m pytest -n 2 $(BESIDE)
	OMP_NUM_THREADS=1 QT_QPA_PLATFORM=offscreen $(BIN)/python -m pytest -n 2 --dist loadfile $(addprefix --ignore ,$(BESIDE))

check: $(VENV)/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(VENV)/installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Netwright needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Set PYTHON=python3.12, say.")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@echo "Installing PyTorch, Qt and the rest (about 6 GB, a few minutes the first time)"
	$(BIN)/python -m pip install --quiet -e ".[dev]"
	touch $@

screenshots: $(VENV)/installed
	$(BIN)/python docs/make_screenshots.py

clean:
	rm -rf $(VENV) build dist *.egg-info
