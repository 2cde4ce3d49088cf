# The page that scores in a browser. Included by the Makefile.
.PHONY: web web-page web-packages web-inputs test-web web-pictures

WEB := web_demo
WEB_MODEL ?= build/demo/spoof_scorer.onnx
WEB_OUT := $(CURDIR)/build/web
PORT ?= 8000
# What the page must score as Python does: real speech where it is there, golden recordings else.
WEB_RECORDINGS = "$(WEB_OUT)"/other/* \
  $(if $(SCRIPTABLE_SPEECH),"$(SCRIPTABLE_SPEECH)"/*/*.wav,"$(WEB_OUT)"/vectors/*.wav)
WEB_GIVEN = MODEL="$(abspath $(WEB_MODEL))" VECTORS="$(WEB_OUT)/vectors" PAGE="$(WEB_OUT)/page" \
  SCORES="$(WEB_OUT)/scores.json" RECORDING="$(WEB_OUT)/vectors/mono.wav"

# Golden vectors, and what Python makes of the recordings.
web-inputs: web-page
	OMP_NUM_THREADS=1 $(BIN)/python -m export vectors $(WEB_MODEL) --out "$(WEB_OUT)/vectors"
	$(BIN)/python $(WEB)/tests/recordings.py "$(WEB_OUT)/vectors/stereo_44100.wav" "$(WEB_OUT)/other"
	OMP_NUM_THREADS=1 $(BIN)/python -m export score $(WEB_MODEL) $(WEB_RECORDINGS) --json \
	  > "$(WEB_OUT)/scores.json"

# http://localhost:8000, for this machine alone.
web: web-page
	$(BIN)/python -m http.server $(PORT) --bind 127.0.0.1 --directory "$(WEB_OUT)/page"

web-page: setup web-packages $(WEB_MODEL)
	OMP_NUM_THREADS=1 $(BIN)/python -m export web $(WEB_MODEL) --out "$(WEB_OUT)/page"

build/demo/spoof_scorer.onnx: | setup
	OMP_NUM_THREADS=1 $(BIN)/python -m export demo

web-packages: $(WEB)/node_modules/.installed

$(WEB)/node_modules/.installed: $(WEB)/package.json $(WEB)/package-lock.json
	android_demo/packages.sh chromium=chromium node=nodejs npm=npm
	cd $(WEB) && npm ci --ignore-scripts --no-audit --no-fund
	touch $@

# Types, the scorer in Node against golden vectors, the page in headless Chromium.
test-web: web-inputs
	cd $(WEB) && npm run --silent check && $(WEB_GIVEN) npm test

# The states of the page, to be looked at.
web-pictures: web-inputs
	mkdir -p $(WEB)/pictures
	cd $(WEB) && PICTURES="$(CURDIR)/$(WEB)/pictures" $(WEB_GIVEN) node --test tests/page.test.js
