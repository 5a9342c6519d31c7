# Needs Python 3.11 or later and make; everything else comes with `make setup`, into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
LOCK := requirements.lock
LOCK_OPTIONS := --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-annotate --no-header --quiet

.DEFAULT_GOAL := help
.PHONY: help setup demo up test check fuzz chaos soak lint sbom image-test format bench lock clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## .venv with everything in it; quick when nothing changed

# The stamp is written last: an interrupted setup is done again.
$(INSTALLED): $(LOCK) pyproject.toml
	@command -v $(PYTHON) > /dev/null || { echo "$(PYTHON) is not there: install Python 3.11 or later, or name one: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "StreamForge needs Python 3.11 or later, and $(PYTHON) is `$(PYTHON) -V 2>&1`; name another: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || { echo "$(PYTHON) has no venv module: install it (Debian: apt-get install python3-venv)"; exit 1; }
	@$(BIN)/python -c '' 2> /dev/null || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $(LOCK)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup ## process a video from nothing and show the result; FILE=… for your own
	@$(BIN)/streamforge demo $(if $(FILE),"$(FILE)")

up: setup ## run everything on this machine until Ctrl-C
	@exec $(BIN)/streamforge up

# As many processes as tests/scheduling.py says.
PARALLEL := --numprocesses auto
# What fails is tried once more and told: docs/testing.md.
TRIES := --reruns 1 --rerun-show-tracebacks

test: setup ## all tests but the slow ones; SLOW=1 for those, too, ARGS=… for pytest
	$(BIN)/python -m pytest $(PARALLEL) $(TRIES) $(if $(SLOW),--hypothesis-profile thorough,-m "not slow") $(ARGS)

check: setup ## the quick tests: planning, contracts, workflows, database
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow" tests/timeline tests/planning tests/codecs tests/quality tests/packaging tests/progress tests/contracts tests/workflows tests/db $(ARGS)

fuzz: setup ## damaged files, then files whose clocks lie, for MINUTES=10 each, and three times as many examples; new ones every time
	$(BIN)/python -m pytest $(PARALLEL) --hypothesis-profile thorough -m "not slow" tests/planning tests/packaging tests/quality tests/progress tests/observability tests/api/test_described_answers.py tests/api/test_what_is_stored.py
	FUZZ_MINUTES=$(or $(MINUTES),10) $(BIN)/python -m pytest -s tests/media/test_fuzz.py tests/law/test_law.py $(ARGS)

chaos: setup ## kill, fill, stall and mislead everything while 30 jobs run, for MINUTES=10; CHAOS_SEED=… for another order
	CHAOS_MINUTES=$(or $(MINUTES),10) $(BIN)/python -m pytest -s tests/chaos $(ARGS)

soak: setup ## a mixed load for HOURS=2: fails when memory, descriptors, threads or files grow; plot in data/soak
	HOURS=$(or $(HOURS),2) $(BIN)/python -m bench soak

lint: setup ## style, types, layers, Dockerfile, secrets, known vulnerabilities
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy --no-warn-unused-configs .ci/*.py
	$(BIN)/lint-imports
	$(BIN)/hadolint docker/Dockerfile
	$(BIN)/python .ci/find_secrets.py
	$(BIN)/python .ci/find_vulnerabilities.py

sbom: setup ## dist/streamforge.cdx.json: what the image is made of, as CycloneDX
	@$(BIN)/python .ci/make_sbom.py dist/streamforge.cdx.json

image-test: setup ## build the image with podman, and try it: a job, a killed container, what it may do
	.ci/image-test $(ARGS)

format: setup ## what can be put right by itself
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: setup ## measure this machine
	$(BIN)/python -m bench

# Names, versions and hashes only: where they come from is for each machine to say.
lock: setup ## choose the newest allowed versions again
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile $(LOCK_OPTIONS) --upgrade --all-extras pyproject.toml --output-file $(LOCK)
	$(BIN)/uv pip compile $(LOCK_OPTIONS) --constraint $(LOCK) pyproject.toml --output-file docker/$(LOCK)

clean: ## remove what make and the tools made; data/ stays
	rm -rf $(VENV) *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
