# Two commands for a stranger: `make demo` and `make test`. CI runs the same targets.
PYTHON ?= python3
VENV ?= .venv
DEV ?= .venv-dev
# The version whose CPU build we test with. A wider range would pull a CUDA build of several gigabytes.
TORCH ?= torch==2.13.0

# Your own crops: make demo GALLERY=folder QUERY=img.jpg
SAMPLE = docs/sample/gallery
GALLERY ?= $(SAMPLE)
QUERY ?= docs/sample/query/00007_c4s1_000005_00.jpg
# One index for each gallery, so that two galleries never mix.
INDEX = demo/index-$(firstword $(shell realpath "$(GALLERY)" | cksum))

PIP = -m pip install --quiet --disable-pip-version-check
RUN_DEV = $(DEV)/bin/python -m
SOURCES := $(wildcard autoreid_deploy/*.py autoreid_deploy/*/*.py autoreid_deploy/models/*)

.DELETE_ON_ERROR:
.PHONY: demo test lint types tests wheel clean

demo: $(VENV)/.ready
ifneq ($(GALLERY),$(SAMPLE))
ifeq ($(origin QUERY),file)
	@echo "error: name a picture too: make demo GALLERY=$(GALLERY) QUERY=img.jpg" >&2; exit 1
endif
endif
	@mkdir -p demo
	$(VENV)/bin/reid-index build "$(GALLERY)" --index "$(INDEX)"
	$(VENV)/bin/reid-query "$(QUERY)" --index "$(INDEX)" --sheet demo/sheet.png --html demo/page.html

test: lint types tests wheel

lint: $(DEV)/.ready
	$(RUN_DEV) ruff check .
	$(RUN_DEV) ruff format --check .
	$(DEV)/bin/hadolint Dockerfile

types: $(DEV)/.ready
	$(RUN_DEV) mypy

tests: $(DEV)/.ready
	$(RUN_DEV) pytest -q

# What is deployed, as it is deployed: the built wheel in an environment of its own, without torch.
wheel: $(DEV)/.ready
	rm -rf build/wheel && mkdir -p build/wheel
	$(RUN_DEV) build --wheel --outdir build/wheel . > build/wheel/log 2>&1 || { cat build/wheel/log; exit 1; }
	$(call venv,build/wheel/venv)
	build/wheel/venv/bin/python $(PIP) "$$(ls build/wheel/*.whl)[cpu]"
	$(RUN_DEV) tests.people build/wheel/gallery --people 4 --query build/wheel/query
	sh tests/wheel_job.sh build/wheel

clean:
	rm -rf $(VENV) $(DEV) build demo dist *.egg-info

define venv
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "error: Python 3.10 or newer is needed, $(PYTHON) is $$($(PYTHON) -V); name another: make PYTHON=python3.12" >&2; exit 1; }
	@test -d $(1) || $(PYTHON) -m venv $(1) || { rm -rf $(1); echo "error: $(PYTHON) cannot make a virtual environment; on Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }
endef

$(VENV)/.ready: pyproject.toml $(SOURCES)
	$(call venv,$(VENV))
	$(VENV)/bin/python $(PIP) --force-reinstall --no-deps .
	$(VENV)/bin/python $(PIP) ".[cpu]"
	@rm -rf demo/index-*  # another version may bring another model
	@touch $@

$(DEV)/.ready: pyproject.toml
	$(call venv,$(DEV))
	$(DEV)/bin/python $(PIP) "$(TORCH)"
	$(DEV)/bin/python $(PIP) --editable ".[dev,search]"
	@touch $@
