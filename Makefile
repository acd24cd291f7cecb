# make setup | demo | test | test-AREA | test-slow | test-times | lint | docs. Each does all of its own set-up.
PYTHON ?= python3
BIN := .venv/bin
EXTRAS := authoring,tiler,training,demo,dev
SETUP := .venv/.complete
CHECKOV := .venv-checkov/.complete

# Without bytecode every process compiles every library again, which takes three times as long as importing it.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo test test-slow test-times lint docs requirements clean
setup: $(SETUP)

# uv installs in parallel and links from its cache: a tenth of pip's time. Nothing else depends on it.
$(SETUP): setup.cfg setup.py pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[$(EXTRAS)]'
	touch $@

# In an environment of its own: it pins a boto3 from before the one that we need.
$(CHECKOV): $(SETUP) Makefile
	$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python .venv-checkov
	$(BIN)/uv pip install --quiet --python .venv-checkov/bin/python checkov==3.3.30
	touch $@

# make demo                      the msi pipeline on generated slides
# make demo FRESH=1              the same, forgetting earlier runs
# make demo SLIDES=… LABELS=…    on slides of your own
# make demo … ENCODER=…          with an encoder of your own: a folder with encoder.json and the checkpoint
# make demo TASK=mhist           the mhist pipeline on generated patches, or on ANNOTATIONS=… IMAGES=…
# make demo TASK=lizard          the lizard pipeline on generated nuclei, or on DATASET=…
# make demo PARAMS='MinAuroc=0.99 Epochs=5'
TASK ?= $(shell $(BIN)/python -c 'from pipelines.tasks import NAMES; print(NAMES[0])')
# Whatever else is given on the command line is data of one's own, which the task has a name for.
OWN = $(foreach v,$(filter-out TASK FRESH PARAMS PYTHON,$(.VARIABLES)),$(if $(filter command,$(origin $(v))),--data '$(v)=$($(v))'))
demo: $(SETUP)
	@$(strip $(BIN)/python -m demo --task $(TASK) $(if $(FRESH),--fresh) $(OWN) $(foreach p,$(PARAMS),--param '$(p)'))

# Each area of tests/areas.py in a process of its own, side by side: make test, make test-slow. One area: make test-slides.
# make test-times shows what takes long. One test: .venv/bin/python -m pytest tests/pathology/wsi/test_grid.py -k sample
# A thread a process: more would only wait for one another.
test test-%: export OMP_NUM_THREADS = 1
test: $(SETUP)
	$(BIN)/python -m tests.areas

test-slow: $(SETUP)
	$(BIN)/python -m tests.areas --slow

test-times: $(SETUP)
	$(BIN)/python -m tests.areas --times 20

test-%: $(SETUP)
	$(BIN)/python -m tests.areas $*

lint: $(SETUP) $(CHECKOV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pipelines.render --check
	$(BIN)/python -m docs.refresh --check
	$(BIN)/python -m docs.licences --check
	$(BIN)/hadolint containers/*/Dockerfile
	$(BIN)/shellcheck -x containers/*.sh .ci/run infra/*/*.sh
	$(BIN)/cfn-lint infra/*.yml
	$(BIN)/python -m infra.checks
	LOG_LEVEL=ERROR .venv-checkov/bin/checkov --config-file .checkov.yaml
	git ls-files -z | xargs -0 $(BIN)/detect-secrets-hook --baseline .secrets.baseline

# The pictures and tables in README.md and docs/ that are made from the code.
docs: $(SETUP)
	$(BIN)/python -m pipelines.render
	$(BIN)/python -m docs.refresh
	$(BIN)/python -m docs.licences

# The images' libraries with their hashes, from setup.cfg's extras and constraints.txt, for the Python of each image.
COMPILE := $(BIN)/uv pip compile setup.cfg --quiet --constraint constraints.txt --generate-hashes --no-emit-index-url \
	--python-version 3.12 --python-platform x86_64-manylinux_2_28 --custom-compile-command 'make requirements'
requirements: $(SETUP)
	$(COMPILE) --extra tiler --output-file containers/cucim-tiler/requirements.txt
	$(COMPILE) --extra training --output-file containers/training/requirements.txt

clean:
	rm -rf .venv .venv-checkov .pathology .made
