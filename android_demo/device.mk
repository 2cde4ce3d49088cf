# What runs on devices: the C++ scorer, the same on emulated ARM, the app. Included by the Makefile.
.PHONY: test-android app-pictures apk apk-twice apk-tools scorer-aar android-inputs android-packages
.PHONY: test-device test-native native native-sanitize native-arm64 native-packages bench-device

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

# The app's Kotlin without an Android SDK: scorer, golden vectors, the screen in its states; then the
# tools that pack it, and the demo's model on an older runtime.
HOST := android_demo/host
MODEL ?= build/demo/spoof_scorer.xnnpack.pte
STREAM_MODEL := build/android/stream_scorer.xnnpack.pte
AARS := $(CURDIR)/build/android/aars
SCORER := $(CURDIR)/build/scorer
MAVEN = mvn --batch-mode --no-transfer-progress -f $(HOST)/pom.xml \
  -Droot="$(CURDIR)" -Dmodel="$(abspath $(MODEL))" -Dvectors="$(CURDIR)/build/android/vectors" \
  -Dstream.model="$(CURDIR)/$(STREAM_MODEL)" -Dstream.vectors="$(CURDIR)/build/android/stream-vectors" \
  -Dspoof.native="$(CURDIR)/build/native" -Daars="$(AARS)"

# What was compiled before may have sources no more.
test-android: android-inputs
	rm -rf $(HOST)/*/target/classes $(HOST)/*/target/test-classes
	$(MAVEN) test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q $(HOST)/tests

app-pictures: android-inputs
	$(MAVEN) test -pl app -am -Dtest='ScreenTest,EndToEndTest,HardTimesTest,ModelPickTest,StreamScreenTest' \
	  -Dsurefire.failIfNoSpecifiedTests=false
	mkdir -p android_demo/pictures
	cp $(HOST)/app/target/pictures/*.png android_demo/pictures/

# The scorer for another app: a Maven repository in build/scorer, with the reference in it.
scorer-aar: android-inputs
	$(MAVEN) compile dokka:dokka -pl scorer
	$(HOST)/scorer_aar.sh "$(SCORER)"

# A signed release APK with the runtime in it, from what the tests have compiled.
apk: test-android apk-tools
	$(HOST)/scorer_aar.sh "$(SCORER)"
	PYTHON=$(BIN)/python $(HOST)/apk.sh "$(AARS)" "$(SCORER)/scorer.aar" "$(MODEL)" "$(CURDIR)/build/apk"

# Two builds from the sources, in two folders: equal but for the signature.
apk-twice: android-inputs apk-tools
	for folder in first second; do \
	  rm -rf $(HOST)/*/target; \
	  $(MAVEN) -q process-classes && $(HOST)/scorer_aar.sh "build/$$folder-scorer" && \
	  PYTHON=$(BIN)/python $(HOST)/apk.sh "$(AARS)" "build/$$folder-scorer/scorer.aar" "$(MODEL)" \
	    "$(CURDIR)/build/$$folder-apk" || exit 1; \
	done
	cmp build/first-apk/unsigned.apk build/second-apk/unsigned.apk
	cmp build/first-scorer/scorer.aar build/second-scorer/scorer.aar

apk-tools:
	android_demo/packages.sh zipalign=zipalign apksigner=apksigner dexdump=dexdump zip=zip readelf=binutils

android-inputs: native android-packages $(MODEL)
	OMP_NUM_THREADS=1 $(BIN)/python -m export vectors $(MODEL) --out build/android/vectors
	PYTHONPATH=.:tests OMP_NUM_THREADS=1 $(BIN)/python tests/stream_helpers.py executorch_xnnpack $(STREAM_MODEL)
	OMP_NUM_THREADS=1 $(BIN)/python -m export vectors $(STREAM_MODEL) --out build/android/stream-vectors
	$(HOST)/fetch.sh "$(AARS)"
	$(BIN)/python $(HOST)/licences.py build/android/licences.txt

build/demo/spoof_scorer.xnnpack.pte: | setup
	OMP_NUM_THREADS=1 $(BIN)/python -m export demo

android-packages:
	android_demo/packages.sh javac=default-jdk-headless mvn=maven aapt=aapt unzip=unzip zip=zip \
	  /usr/share/android-framework-res/framework-res.apk=android-framework-res

# Latency, memory, start and sizes of the C++ scorer, beside Python's runtime and eager.
bench-device: native
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.device
