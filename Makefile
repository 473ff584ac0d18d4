# Two commands for a newcomer: `make demo` runs everything once, `make ui` shows it. `make help` lists the rest.
#
# There are two environments, because sam2's hydra and Dagster need different antlr4 versions (docs/architecture.md):
# .venv holds Dagster, DuckDB and the command line; .venv-worker holds torch, transformers, TRL and SAM2.

SHELL := /bin/bash
PYTHON ?= python3
PORT ?= 3000
SCENES ?=
SEEDS ?=
SYSTEMS ?=
TABLES ?=
FRESH ?=
PYTEST_ARGS ?=
PROCESSES ?= logical
KEEP ?=
TIMES ?= 50
MODULES ?=

BIN := .venv/bin
WORKER_BIN := .venv-worker/bin
# Every process imports some thousand modules. Without bytecode, which the first one writes, each takes twice as long.
unexport PYTHONDONTWRITEBYTECODE
# SAM2's optional CUDA extension is not built: it only post-processes masks, and this pipeline does not ask for that.
export SAM2_BUILD_CUDA ?= 0

.DEFAULT_GOAL := help
.PHONY: help setup demo tables ui app test coverage faults check lint format types docs fuzz mutants audit update-constraints clean-environments

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/:[^#]*## /\t/' | expand -t 22
	@echo
	@echo 'make demo SCENES=<folder>              evaluates a folder in EarthReason layout in place of the embedded scenes'
	@echo 'make demo SEEDS="0 1 2"                trains and evaluates one run per seed'
	@echo 'make demo SYSTEMS=think2seg            trains that method only and leaves out the methods it is compared with'
	@echo 'make demo FRESH=1                      repeats finished work'
	@echo 'make ui PORT=3001                      uses another port; make app too'
	@echo "make test PYTEST_ARGS='-m \"not slow\"'  passes options to pytest"
	@echo 'make test PROCESSES=0                  runs the tests in one process (default: one per logical core)'
	@echo 'make fuzz TIMES=500                    tries 500 times as many inputs; make mutants MODULES=masks one module'
	@echo 'make update-constraints KEEP=1         adds what is missing to constraints/ and keeps the other versions'
	@echo 'T2S_HOME (default ./data) is the folder for all results.'

setup: ## install both environments; skipped while pyproject.toml and constraints/ are unchanged
	@.ci/environment $(PYTHON) .venv orchestrator orchestrator,geo,ray,s3,dev,check,docs 'Dagster, DuckDB and the command line'
	@.ci/environment $(PYTHON) .venv-worker worker worker,ray,s3,dev 'torch, transformers, TRL and SAM2: several GB'

demo: setup ## train, evaluate and report on the embedded scenes (the Dagster job `demo`)
	@$(BIN)/t2s demo $(if $(SCENES),--scenes '$(SCENES)') $(foreach seed,$(SEEDS),--seed $(seed)) \
	  $(foreach method,$(SYSTEMS),--method $(method)) $(if $(FRESH),--fresh)

ui: setup ## Dagster's web UI on 127.0.0.1:3000
	@$(BIN)/t2s ui --port $(PORT)

tables: setup ## the paper's tables in miniature and the studies beyond it: hours on two cores (TABLES="1 6", SEEDS=3)
	@$(BIN)/t2s studies run --seeds $(or $(SEEDS),3) $(foreach table,$(TABLES),--only $(table))

app: setup ## the page to ask scenes on, on 127.0.0.1:3100
	@$(BIN)/t2s app --port $(if $(filter file,$(origin PORT)),3100,$(PORT))

# A test that needs the other environment skips itself, and tests/conftest.py says which run in both. Pytest's exit code 5
# means that no test was selected: allowed in one environment (for example PYTEST_ARGS='-m worker'), an error in both.
# One process per logical core takes whole test files, because the tests of a file share models and lakes. Each process
# computes with one thread. PROCESSES=0 runs everything in one process.
test: export OMP_NUM_THREADS ?= 1
test: TESTS = -m pytest -n $(PROCESSES) --dist loadfile --no-loadscope-reorder --durations 20 $(PYTEST_ARGS)
test: setup ## run every test, in both environments
	@orchestrator=0; worker=0; \
	echo '── tests in .venv (orchestrator)'; $(BIN)/python $(TESTS) || orchestrator=$$?; \
	echo '── tests in .venv-worker (worker)'; $(WORKER_BIN)/python $(TESTS) || worker=$$?; \
	if [ $$orchestrator -eq 5 ] && [ $$worker -eq 5 ]; then echo 'No test was selected in either environment.'; exit 5; fi; \
	for code in $$orchestrator $$worker; do if [ $$code -ne 0 ] && [ $$code -ne 5 ]; then exit $$code; fi; done

# Both environments write what they ran into one folder, and the report combines them.
coverage: export OMP_NUM_THREADS ?= 1
coverage: export COVERAGE_FILE = $(CURDIR)/build/coverage/data
coverage: setup ## how much of the code the tests run, by branch: about an hour (PYTEST_ARGS as for test)
	@rm -rf build/coverage && mkdir -p build/coverage
	@$(BIN)/python -m coverage run -m pytest -n $(PROCESSES) --dist loadfile -q $(PYTEST_ARGS) || true
	@$(WORKER_BIN)/python -m coverage run -m pytest -n $(PROCESSES) --dist loadfile -q $(PYTEST_ARGS) || true
	@$(BIN)/python -m coverage combine -q && $(BIN)/python -m coverage report

faults: setup ## the long tests of docs/reliability.md: damage, mixtures, limits; writes the counts there
	@$(BIN)/python -m tests.faults

check: setup ## ruff, formatting, types and the documentation: everything but the tests
	@.ci/check

lint: setup ## ruff and its formatter, without changing a file
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m ruff format --check .

format: setup ## let ruff correct and format the files
	@$(BIN)/python -m ruff check --fix .
	@$(BIN)/python -m ruff format .

types: setup ## mypy --strict over t2s_pipeline, assets and jobs
	@$(BIN)/python .ci/check_types.py

docs: setup ## build the documentation site into build/site, strictly and without a network
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

fuzz: setup ## 50 times as many hostile inputs as continuous integration tries, new ones each time (TIMES=50)
	@T2S_FUZZ_TIMES=$(TIMES) $(BIN)/python -m pytest tests/fuzz -n $(PROCESSES) -q -W ignore

mutants: setup ## change the code in every small way and see whether the tests notice: a night (MODULES="masks parsing")
	@nice -n 19 .ci/mutants $(MODULES)

audit: setup ## known vulnerabilities of the versions in constraints/, where their database can be reached
	@$(BIN)/python .ci/audit

update-constraints: setup ## write the newest versions that pyproject.toml allows into constraints/
	@.ci/update-constraints $(KEEP)

clean-environments: ## remove both environments; results stay
	rm -rf .venv .venv-worker
