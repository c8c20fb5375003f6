PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo test slow nightly lowest check docs bench guard clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("protoxai needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; name another: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(VENV)/bin/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(VENV)/bin/python -m pip install -e ".[all]"
	@touch $@

demo: $(READY) ## Train on synthetic shapes, compare, explain, and write a report
	$(VENV)/bin/protoxai demo

test: $(READY) ## Run the tests and every docstring example
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n 2 --dist loadfile

slow: $(READY) ## Run the tests that take longer: compilers, several processes, stops, timings
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n 2 --dist loadfile -m slow

nightly: $(READY) ## Run the tests that are too long for every change: kernels in C++, long fuzzing
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n 2 --dist loadfile -m nightly

lowest: ## Run the tests with the lowest versions allowed, in .venv-lowest
	$(PYTHON) .ci/lowest.py > .lowest.txt
	PIP_CONSTRAINT=$(CURDIR)/.lowest.txt $(MAKE) test slow VENV=.venv-lowest

check: $(READY) ## Lint, formatting, types, import layers, spelling, prose
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/codespell
	$(VENV)/bin/python .ci/check_prose.py
	@if [ -d node_modules ]; then npm run --silent check; else echo "scripts of the report not checked: run npm ci first"; fi

docs: $(READY) ## Build the documentation into site/
	$(VENV)/bin/mkdocs build --strict

bench: $(READY) ## Measure time and memory of every part (about an hour on an idle core)
	OMP_NUM_THREADS=1 $(VENV)/bin/python benchmarks/speed/run.py

guard: $(READY) ## Fail if a part became more than 30 % worse against its yardstick
	OMP_NUM_THREADS=1 $(VENV)/bin/python benchmarks/speed/guard.py

clean: ## Remove caches and built files (keeps .venv and trained models)
	rm -rf site dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find protoxai tests benchmarks -type d -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
