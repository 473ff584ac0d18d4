# Two commands for a newcomer: `make demo` runs everything once, `make ui` shows it. `make help` lists the rest.
#
# Two environments, because sam2's hydra and Dagster need different antlr4 versions (README, Architecture):
# .venv holds Dagster, DuckDB and the command line; .venv-worker holds torch, transformers, TRL and SAM2.

SHELL := /bin/bash
PYTHON ?= python3
PORT ?= 3000
SCENES ?=
SEEDS ?=
SYSTEMS ?=
FRESH ?=
PYTEST_ARGS ?=

BIN := .venv/bin
WORKER_BIN := .venv-worker/bin
# SAM2's optional CUDA extension only post-processes masks that nobody here asks for.
export SAM2_BUILD_CUDA ?= 0

.DEFAULT_GOAL := help
.PHONY: help setup demo ui test lint docs clean-environments

help: ## what can be made
	@grep -E '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/:[^#]*## /\t/' | expand -t 22
	@echo
	@echo 'make demo SCENES=<folder>   evaluates a folder in EarthReason layout in place of the embedded scenes'
	@echo 'make demo SEEDS="0 1 2"     trains and evaluates one run a seed'
	@echo 'make demo SYSTEMS=think2seg  trains that method only, without those it is compared with (the short one)'
	@echo 'make demo FRESH=1           redoes finished work'
	@echo 'T2S_HOME (default ./data) holds all that is made.  make ui PORT=3001 takes another port.'

setup: ## both environments; skipped when pyproject.toml has not changed since
	@.ci/environment $(PYTHON) .venv orchestrator,docs 'Dagster, DuckDB and the command line'
	@.ci/environment $(PYTHON) .venv-worker worker 'torch, transformers, TRL and SAM2: several GB, some minutes'

demo: setup ## train, evaluate and report on the embedded default (the Dagster job `demo`)
	@$(BIN)/t2s demo $(if $(SCENES),--scenes '$(SCENES)') $(foreach seed,$(SEEDS),--seed $(seed)) \
	  $(foreach method,$(SYSTEMS),--method $(method)) $(if $(FRESH),--fresh)

ui: setup ## Dagster's web UI on 127.0.0.1:3000
	@$(BIN)/t2s ui --port $(PORT)

# Every test runs in each environment; those that need the other one skip themselves there. Pytest's code 5 means
# that nothing was selected: fine in one environment (say, PYTEST_ARGS='-m worker'), a mistake in both.
test: setup ## the whole suite, in both environments
	@orchestrator=0; worker=0; \
	echo '── tests in .venv (orchestrator)'; $(BIN)/python -m pytest $(PYTEST_ARGS) || orchestrator=$$?; \
	echo '── tests in .venv-worker (worker)'; $(WORKER_BIN)/python -m pytest $(PYTEST_ARGS) || worker=$$?; \
	if [ $$orchestrator -eq 5 ] && [ $$worker -eq 5 ]; then echo 'No test was selected in either environment.'; exit 5; fi; \
	for code in $$orchestrator $$worker; do if [ $$code -ne 0 ] && [ $$code -ne 5 ]; then exit $$code; fi; done

lint: setup ## ruff over the code
	@$(BIN)/ruff check .

docs: setup ## the documentation site into build/site, strictly and without a network
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

clean-environments: ## remove both environments (what was computed stays)
	rm -rf .venv .venv-worker
