# Two commands from nothing: `make demo` and `make test`. They install what they need into .venv and leave everything
# inside this folder. `make help` lists the rest.
PYTHON ?= python3
BIN := .venv/bin
PARTS := v1 core zoo training export serving
LINTED := core zoo training export serving tests benchmarks scripts
STAMP := .venv/.installed

# Everything stays inside this folder, caches included, unless the environment says where they should be.
export UV_CACHE_DIR ?= $(CURDIR)/.cache/uv
export PIP_CACHE_DIR ?= $(CURDIR)/.cache/pip
export MPLCONFIGDIR ?= $(CURDIR)/.cache/matplotlib
export npm_config_cache ?= $(CURDIR)/.cache/npm
export BUF_CACHE_DIR ?= $(CURDIR)/.cache/buf
export DCGAN_HOME ?= $(CURDIR)/.cache/dcgan-zoo
export ORT_DISABLE_TELEMETRY ?= 1

.DEFAULT_GOAL := help
.PHONY: help install demo test lint format types protos bench check constraints wheel clean

help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

install: $(STAMP) ## Make .venv with the project, editable, and everything it needs

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || \
	  { echo "Python 3.11, 3.12 or 3.13 is needed, not $$($(PYTHON) --version 2>&1); name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[dev]'
	@touch $@

demo: install ## Train, export, serve and draw handwritten digits: the whole road in one to three minutes
	$(BIN)/python scripts/demo.py

test: install ## Run the tests
	$(BIN)/python -m pytest

lint: install ## Check style and the contract
	$(BIN)/ruff format --check $(LINTED)
	$(BIN)/ruff check $(LINTED)
	$(BIN)/buf lint

format: install ## Bring the code into its style
	$(BIN)/ruff format $(LINTED)
	$(BIN)/ruff check --fix $(LINTED)

# Static tools cannot follow the mapping of an editable install (docs/adr/0001), so they are given links that they can.
types: install ## Check the types
	@mkdir -p build/typing/dcgan
	@for part in core zoo training export serving; do ln -sfn ../../../$$part build/typing/dcgan/$$part; done
	@ln -sfn ../../../protos/dcgan/v1 build/typing/dcgan/v1
	$(BIN)/mypy $(addprefix -p dcgan.,$(PARTS))

protos: install ## Generate the stubs from generator.proto
	$(BIN)/python -m grpc_tools.protoc -I protos --python_out=protos --pyi_out=protos --grpc_python_out=protos \
	  protos/dcgan/v1/generator.proto

bench: install ## Measure graphs, serving and training on this machine, into benchmarks/results
	$(BIN)/python benchmarks/bench_export.py --out benchmarks/results/export-cpu-2-threads.json
	$(BIN)/python benchmarks/bench_serving.py
	$(BIN)/python benchmarks/bench_training.py

check: lint types test ## What continuous integration runs: lint, types, test

constraints: install ## Pin every dependency anew, for all platforms
	$(BIN)/uv pip compile --quiet --universal --all-extras --no-annotate --no-header --no-emit-index-url --no-emit-find-links \
	  --upgrade --python-version 3.11 -o constraints.txt pyproject.toml

wheel: install ## Build the wheel into dist/
	$(BIN)/uv build --quiet --wheel --python $(BIN)/python

clean: ## Remove everything that was made here
	rm -rf .venv .cache build dist demo *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
