# The only door. Every target makes what it needs first; nothing is made twice.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
BIN := .venv/bin
SEED ?=
ARGS ?=

.PHONY: help setup assets demo test check bench sim docs clean

help: ## Show this list.
	@grep -hE '^[a-z]+:.*## ' Makefile | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: .venv/.ready ## Make .venv with everything the project needs.

.venv/.ready: pyproject.toml constraints.txt scripts/setup
	@scripts/setup
