# Every target makes .venv itself when it is missing.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
WORKERS ?= 2

.PHONY: setup demo test check new-loss lint docs package bench peers clean
.PHONY: test-android app-pictures apk android-inputs android-packages
.PHONY: test-device test-native native native-sanitize native-arm64 native-packages bench-device

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

# The whole battery for one entry: make check ENTRY=AMSoftmax
check: setup
	$(if $(ENTRY),,$(error ENTRY: say which entry, as in make check ENTRY=AMSoftmax))
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --entry '$(ENTRY)' tests/test_catalogue.py scriptable

# A head that already passes everything, to put a formula into: make new-loss NAME=CentreLoss
new-loss: setup
	$(if $(NAME),,$(error NAME: say how it is called, as in make new-loss NAME=CentreLoss))
	@$(BIN)/python tools/new_loss.py '$(NAME)'

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# These pages and the reference from the docstrings; a broken reference is an error.
docs: setup
	rm -rf docs/generated
	$(BIN)/python -m sphinx -q -W --keep-going -b html -d build/doctrees docs build/docs

# An sdist, and the wheel from it; tests/test_package.py installs such a wheel beside torch alone.
package: setup
	$(BIN)/python -m build --no-isolation --outdir build/package .

bench: peers
	$(BIN)/python -m benchmarks

# The C++ scorer, the same for 64-bit ARM under emulation, and their tests.
NATIVE := android_demo/native
CMAKE = $(BIN)/cmake -S $(NATIVE) -Wno-dev
EXECUTORCH = $$($(BIN)/python -c 'import executorch; print(list(executorch.__path__)[0])')
ARM64 := build/arm64-packages

test-device: test-native test-android

test-native: native native-sanitize native-arm64 build/demo/spoof_scorer.xnnpack.pte
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(NATIVE)/tests

native-packages:
	android_demo/packages.sh c++=g++ javac=default-jdk-headless \
	  /usr/include/nlohmann/json.hpp=nlohmann-json3-dev /usr/include/sndfile.h=libsndfile1-dev \
	  aarch64-linux-gnu-g++=g++-aarch64-linux-gnu qemu-aarch64-static=qemu-user-static

native: setup native-packages
	$(CMAKE) -B build/native -DCMAKE_PREFIX_PATH="$(EXECUTORCH)"
	MAKEFLAGS= $(BIN)/cmake --build build/native --parallel $(WORKERS)

native-sanitize: setup native-packages
	$(CMAKE) -B build/native-sanitize -DSANITIZE=ON -DCMAKE_PREFIX_PATH="$(EXECUTORCH)"
	MAKEFLAGS= $(BIN)/cmake --build build/native-sanitize --parallel $(WORKERS)

native-arm64: $(ARM64)/.unpacked native-packages
	$(CMAKE) -B build/native-arm64 -DCMAKE_PREFIX_PATH="$(CURDIR)/$(ARM64)/executorch" \
	  -DCMAKE_TOOLCHAIN_FILE="$(CURDIR)/$(NATIVE)/toolchains/aarch64-linux-gnu.cmake" \
	  -DSNDFILE_LIBRARY="$(CURDIR)/$(ARM64)/_soundfile_data/libsndfile_arm64.so"
	MAKEFLAGS= $(BIN)/cmake --build build/native-arm64 --parallel $(WORKERS)

$(ARM64)/.unpacked: .venv/.installed constraints.txt
	rm -rf $(ARM64)
	$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps \
	  --platform manylinux_2_28_aarch64 --only-binary=:all: -c constraints.txt \
	  --dest $(ARM64)/wheels executorch soundfile
	for wheel in $(ARM64)/wheels/*.whl; do $(BIN)/python -m zipfile -e $$wheel $(ARM64); done
	touch $@

# The app's Kotlin without an Android SDK: scorer, golden vectors, the screen in its states.
HOST := android_demo/host
MODEL ?= build/demo/spoof_scorer.xnnpack.pte
AARS := $(CURDIR)/build/android/aars
MAVEN = mvn --batch-mode --no-transfer-progress -f $(HOST)/pom.xml test \
  -Droot="$(CURDIR)" -Dmodel="$(abspath $(MODEL))" -Dvectors="$(CURDIR)/build/android/vectors" \
  -Dspoof.native="$(CURDIR)/build/native" -Daars="$(AARS)"

test-android: android-inputs
	$(MAVEN)

app-pictures: android-inputs
	$(MAVEN) -pl app -am -Dtest='ScreenTest,EndToEndTest' -Dsurefire.failIfNoSpecifiedTests=false
	mkdir -p android_demo/pictures
	cp $(HOST)/app/target/pictures/*.png android_demo/pictures/

apk: test-android
	android_demo/packages.sh zipalign=zipalign apksigner=apksigner dexdump=dexdump zip=zip
	$(HOST)/apk.sh "$(AARS)" "$(MODEL)" "$(CURDIR)/build/apk"

android-inputs: native android-packages $(MODEL)
	OMP_NUM_THREADS=1 $(BIN)/python -m export vectors $(MODEL) --out build/android/vectors
	$(HOST)/fetch.sh "$(AARS)"

build/demo/spoof_scorer.xnnpack.pte: | setup
	OMP_NUM_THREADS=1 $(BIN)/python -m export demo

android-packages:
	android_demo/packages.sh javac=default-jdk-headless mvn=maven aapt=aapt unzip=unzip \
	  /usr/share/android-framework-res/framework-res.apk=android-framework-res

# Latency, memory, start and sizes of the C++ scorer, beside Python's runtime and eager.
bench-device: native
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.device

clean:
	rm -rf build dist android_demo/host/target android_demo/host/*/target *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
