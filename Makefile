# The only door. Every target makes what it needs first; nothing is made twice.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
BIN := .venv/bin
SEED ?=
DAYS ?=
ARGS ?=

.PHONY: help setup assets demo test check bench sim docs clean

help: ## Show this list.
	@grep -hE '^[a-z]+:.*## ' Makefile | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: .venv/.ready ## Make .venv with everything the project needs.

.venv/.ready: pyproject.toml constraints.txt scripts/setup
	@scripts/setup

assets: setup ## Build the style sheet and scripts of the pages.
	@$(BIN)/python scripts/assets

demo: assets ## Start everything on 127.0.0.1:8000. ARGS="--fresh" begins again.
	@exec $(BIN)/vendrail demo $(ARGS)

# Whole servers and browsers want the machine for themselves; the others share it.
APART := tests/demo tests/e2e tests/sim

test: assets ## Run all tests, browser included. ARGS="-k name" picks some.
	@scripts/test-needs
	@if [ -n "$(ARGS)" ]; then exec $(BIN)/pytest $(ARGS); fi; status=0; \
	$(BIN)/pytest -n logical --maxprocesses 4 --dist loadfile $(APART:%=--ignore=%) || status=1; \
	$(BIN)/pytest $(APART) || status=1; \
	exit $$status

check: setup ## Lint, format check, types, import contracts.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench: setup ## Measure speed. ARGS="http --json" picks; all of them otherwise.
	@if [ -n "$(ARGS)" ]; then exec $(BIN)/vendrail bench $(ARGS); fi; \
	for kind in pipeline http ledger sealing callback page statement release idle; do $(BIN)/vendrail bench $$kind; done

sim: setup ## Simulate with faults. SEED=7 repeats a run, DAYS=30 lives through a month.
	@scripts/test-needs peers
	VENDRAIL_SIM=whole VENDRAIL_SIM_SEED=$(SEED) VENDRAIL_SIM_DAYS=$(DAYS) $(BIN)/pytest \
	  $(if $(DAYS),tests/sim/test_month.py,tests/sim) --timeout 0 $(ARGS)

docs: setup ## Write the generated part of docs/reference.
	@$(BIN)/vendrail docs $(ARGS)

clean: ## Remove what was made; var/ (the data) stays.
	rm -rf .venv .venv-peers .venv.lock node_modules src/vendrail/web/assets/dist
	find . -path ./var -prune -o -name '__pycache__' -type d -print0 | xargs -0 rm -rf
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
