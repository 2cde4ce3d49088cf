# Every target makes .venv itself when it is missing.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
WORKERS ?= 2
# Real speech for the checks; without it only what needs it is skipped, and says so.
SCRIPTABLE_SPEECH ?= $(realpath ../shared/data/speech)
export SCRIPTABLE_SPEECH

.PHONY: setup demo test test-fuzz test-oldest check new-loss lint docs package bench stream-hour toolkits peers clean

setup: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all]'
	touch $@

# The compared toolkits pin older versions of torch and numpy; their losses run without these.
toolkits: .venv/.toolkits

# As it was called before.
peers: toolkits

.venv/.toolkits: .venv/.installed constraints-toolkits.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r constraints-toolkits.txt
	touch $@

# Another task: make demo TASK=verification, sasv or streaming
demo: setup
	$(BIN)/python -m export demo $(if $(TASK),--task '$(TASK)')

# One thread a worker: torch's own threads on shared cores cost more than they bring.
test: toolkits
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

# Damage at random, in full: 200 flips, 20 truncations and 100 contracts a format, with the counts.
test-fuzz: toolkits
	SCRIPTABLE_FUZZ=full OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/export/backends/test_fuzz.py

# The whole battery for one entry, its examples, and the test files that name it:
# make check ENTRY=AMSoftmax
check: setup
	$(if $(ENTRY),,$(error ENTRY: say which entry, as in make check ENTRY=AMSoftmax))
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --entry '$(ENTRY)' tests scriptable

# A head that already passes everything, to put a formula into: make new-loss NAME=CentreLoss
new-loss: setup
	$(if $(NAME),,$(error NAME: say how it is called, as in make new-loss NAME=CentreLoss))
	@$(BIN)/python tools/new_loss.py '$(NAME)'

# What pyproject.toml's lowest versions can still do: script, trace and torch.export of every entry.
# Two of their warnings say nothing about us: how torch 2.9 reads a file, where torchaudio is going.
test-oldest: .venv-oldest/.installed
	OMP_NUM_THREADS=1 .venv-oldest/bin/python -m pytest -n $(WORKERS) --dist worksteal \
	  -W 'ignore:The given buffer is not writable:UserWarning' \
	  -W 'ignore:torchaudio.functional.functional._rnnt_loss has been deprecated:UserWarning' \
	  $(addprefix --backend=,torchscript trace lite torch_export) \
	  tests/export/parity/test_catalogue.py $(addprefix tests/,heads losses scoring metrics frontend)

.venv-oldest/.installed: pyproject.toml tools/oldest_versions.py
	test -x .venv-oldest/bin/python || $(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check 'numpy<2.4' \
	  $$($(PYTHON) tools/oldest_versions.py cli pytest pytest-xdist hypothesis)
	touch $@

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# These pages and the reference from the docstrings; a broken reference is an error.
docs: setup
	rm -rf docs/generated
	$(BIN)/python -m sphinx -q -W --keep-going -b html -d build/doctrees docs build/docs

# An sdist, and the wheel from it; tests/project/test_package.py installs such a wheel beside torch alone.
package: setup
	$(BIN)/python -m build --no-isolation --outdir build/package .

# All of it takes the better part of an hour; a family alone a minute: make bench ONLY=frontend
bench: toolkits
	$(BIN)/python -m benchmarks $(addprefix --only=,$(ONLY))

# An hour of audio in chunks against float64: how far rounding takes the score. Several minutes.
stream-hour: setup
	$(BIN)/python -m benchmarks.stream --drift 3600

clean:
	rm -rf build dist android_demo/host/target android_demo/host/*/target *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

include android_demo/device.mk
include web_demo/web.mk
