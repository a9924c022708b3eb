# Every verb sets up what it needs: Python 3.11+ and make are enough. `make` alone lists the verbs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BENCH_STAMP := .venv-bench/.installed
# Three on two cores: many tests wait for servers and daemons.
WORKERS ?= 3
SPREAD := -n $(WORKERS) --dist loadfile --no-loadscope-reorder
# Without byte code every process would compile every module again.
unexport PYTHONDONTWRITEBYTECODE
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo dev test test-all torture check messages pages lock bench bench-quick bench-check images clean

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## create .venv with the pinned dependencies

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name it with: make PYTHON=/path/to/python3"; exit 1; }
	@echo "Installing the pinned dependencies into $(VENV) (about a minute) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

demo: $(STAMP) ## import sample files on embedded services, and check every count
	@$(BIN)/import-pipeline demo

dev: $(STAMP) ## start services, Dagster UI and sensor; Ctrl-C stops all of it
	@$(BIN)/import-pipeline dev

test: $(STAMP) ## the tests (8 minutes at most on 2 cores)
	@$(BIN)/python -m pytest -m "not slow" $(SPREAD)

test-all: $(STAMP) ## the tests and the slow ones
	@$(BIN)/python -m pytest $(SPREAD)

torture: $(STAMP) ## kill everything, everywhere (about half an hour); nothing may be lost, nothing come twice
	@$(BIN)/python -m import_pipeline_tests.torture

check: $(STAMP) ## lint, types, and whether the definitions load
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/dg check defs

messages: $(STAMP) ## gather the sentences for senders, and compile their translations
	@$(BIN)/python -m import_pipeline.translations

pages: $(STAMP) ## write the pages of docs/ that are made from the code
	@$(BIN)/python -m import_pipeline.documentation

lock: $(STAMP) ## resolve requirements.lock anew from pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--upgrade --extra dev --extra local pyproject.toml --output-file requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--upgrade benchmarks/peers/requirements.in --output-file requirements-bench.lock

bench: $(STAMP) $(BENCH_STAMP) ## measure imports beside COPY, dlt and others, up to 10 million rows (takes long)
	@$(BIN)/python -m benchmarks.run

bench-quick: $(STAMP) ## see in three minutes that the ratios that were reached still are
	@$(BIN)/python -m benchmarks.run --quick

$(BENCH_STAMP): requirements-bench.lock
	@$(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements-bench.lock
	@touch $(BENCH_STAMP)

bench-check: $(STAMP) ## measure `check` against DuckDB and calamine merely reading the same files
	@$(BIN)/python -m benchmarks.check_speed

images: $(STAMP) ## take the README's screenshots from the running UI (needs Chromium)
	@$(BIN)/python docs/images/take.py

clean: ## remove the environment, caches and the local services' data
	@rm -rf $(VENV) .venv-bench .import_pipeline build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
