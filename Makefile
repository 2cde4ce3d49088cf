# Every target makes .venv itself when it is missing.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
WORKERS ?= 2

.PHONY: setup demo test lint bench peers clean

setup: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all]'
	touch $@

# The peers pin older versions of torch and numpy; their losses run without their dependencies.
peers: .venv/.peers

.venv/.peers: .venv/.installed constraints-peers.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r constraints-peers.txt
	touch $@

demo: setup
	$(BIN)/python -m export demo

# One thread a worker: torch's own threads on shared cores cost more than they bring.
test: peers
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: peers
	$(BIN)/python -m benchmarks

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
