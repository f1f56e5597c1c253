# Two commands from nothing: `make demo` and `make test`. They install what they need into .venv and leave everything
# inside this folder. `make help` lists the rest.
PYTHON ?= python3
BIN := .venv/bin
PARTS := v1 core zoo training export evaluation serving
LINTED := core zoo training export evaluation serving docs tests benchmarks scripts
STAMP := .venv/.installed
TEST_PROCESSES ?= 2

# Everything stays inside this folder, caches included, unless the environment says where they should be.
export UV_CACHE_DIR ?= $(CURDIR)/.cache/uv
export PIP_CACHE_DIR ?= $(CURDIR)/.cache/pip
export MPLCONFIGDIR ?= $(CURDIR)/.cache/matplotlib
export npm_config_cache ?= $(CURDIR)/.cache/npm
export GOCACHE ?= $(CURDIR)/.cache/go
export BUF_CACHE_DIR ?= $(CURDIR)/.cache/buf
export DCGAN_HOME ?= $(CURDIR)/.cache/dcgan-zoo
export ORT_DISABLE_TELEMETRY ?= 1

# Images of containers often set this. The tests start hundreds of processes, and each would compile its modules anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install demo test test-fast test-gpu coverage lint format types docs readme protos bench check constraints wheel \
  release-check clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

install: $(STAMP) ## Make .venv with the project, editable, and everything it needs

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))' || \
	  { echo "Python 3.11 to 3.14 is needed, not $$($(PYTHON) --version 2>&1); name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[dev]'
	@touch $@

demo: install ## Train, export, serve and draw handwritten digits: all steps in one to three minutes
	$(BIN)/python scripts/demo.py

test: install ## Run all tests
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile

test-fast: install ## Run the tests that are not marked slow, in two processes
	$(BIN)/python -m pytest -m 'not slow' -n $(TEST_PROCESSES) --dist loadfile

test-gpu: install ## Run the tests that need an NVIDIA GPU, where there is one
	@if $(BIN)/python -c 'from dcgan.core.cuda_driver import count_gpus; raise SystemExit(count_gpus() == 0)'; then \
	  $(BIN)/python -m pytest -m gpu; \
	else \
	  echo 'No NVIDIA GPU is usable with CUDA here, so none of the tests that need one was run.'; \
	fi

coverage: install ## Run the tests that are not marked slow and print the branch coverage
	$(BIN)/coverage erase
	$(BIN)/python -m pytest -m 'not slow' -n $(TEST_PROCESSES) --dist loadfile --cov --cov-report=
	$(BIN)/coverage report --skip-covered

lint: install ## Check style, the contract, workflows and metadata
	$(BIN)/ruff format --check $(LINTED)
	$(BIN)/ruff check $(LINTED)
	$(BIN)/buf lint
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/zizmor --offline --quiet --no-progress .github/workflows
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/[!c]*.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.citation-file-format CITATION.cff

format: install ## Bring the code into its style
	$(BIN)/ruff format $(LINTED)
	$(BIN)/ruff check --fix $(LINTED)

# Static tools cannot follow the mapping of an editable install (docs/adr/0001), so they are given links that they can.
types: install ## Check the types
	@mkdir -p build/typing/dcgan
	@for part in core zoo training export evaluation serving; do ln -sfn ../../../$$part build/typing/dcgan/$$part; done
	@ln -sfn ../../../protos/dcgan/v1 build/typing/dcgan/v1
	$(BIN)/mypy $(addprefix -p dcgan.,$(PARTS))
	$(BIN)/mypy benchmarks docs scripts

docs: install ## Build the documentation site into docs/_build/html; any warning is an error
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html

readme: install ## Generate the tables of README.md, and zoo/MODELS.md, from benchmarks/results and manifests
	$(BIN)/python -m docs.generate readme

protos: install ## Generate the stubs from generator.proto
	$(BIN)/python -m grpc_tools.protoc -I protos --python_out=protos --pyi_out=protos --grpc_python_out=protos \
	  protos/dcgan/v1/generator.proto

bench: install ## Measure graphs, serving and training on this machine, into benchmarks/results
	$(BIN)/python benchmarks/bench_export.py --out benchmarks/results/export-cpu-2-threads.json
	$(BIN)/python benchmarks/bench_serving.py
	$(BIN)/python benchmarks/bench_training.py

check: lint types docs test ## Lint, types, docs and all tests

constraints: install ## Pin every dependency anew, for all platforms
	$(BIN)/uv pip compile --quiet --universal --all-extras --no-annotate --no-header --no-emit-index-url --no-emit-find-links \
	  --upgrade --python-version 3.11 -o constraints.txt pyproject.toml

wheel: install ## Build the wheel into dist/
	rm -rf build/lib build/bdist.*
	$(BIN)/uv build --quiet --wheel --python $(BIN)/python

release-check: install ## Check version, changelog, tag, wheel contents and a fresh installation of the wheel
	$(BIN)/python scripts/check_release.py

clean: ## Remove everything that was made here
	rm -rf .venv .cache build dist demo docs/_build docs/_generated docs/reference/commands/dcgan-*.md .coverage* *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
