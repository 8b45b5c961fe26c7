# Cartmesh. `make` prints the verbs. Nothing here touches anything that make did not make.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
RUN := $(VENV)/bin
DATA ?= ../shared/data
# One thread per model call: more of them only fight for the cores (p99 of a score).
export OMP_NUM_THREADS ?= 1
# A mesh is a dozen processes: with compiled modules they start in a second instead of ten.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo shop up check test drill bench render clean

help: ## Print these verbs
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: $(VENV)/.ready ## Install everything into .venv (needs python3 >= 3.11 and a package registry)

$(VENV)/.ready: pyproject.toml uv.lock
	@echo "setting up .venv, once: a gigabyte of packages, some minutes on a slow line"
	@command -v uv >/dev/null || test -x $(VENV)/bin/uv || { echo "installing uv, which installs the rest"; python3 -m venv $(VENV) && $(RUN)/pip install -q uv; }
	@PATH="$$PWD/$(VENV)/bin:$$PATH" uv sync --locked --inexact --compile-bytecode
	@touch $@

demo: setup ## A shopper's afternoon on three regions, ending in the table of promises
	@$(RUN)/cartmesh demo

shop: setup ## A shop to click through, its console and its inbox, until ctrl-c
	@$(RUN)/cartmesh shop

up: setup ## The whole mesh on this machine, until ctrl-c
	@$(RUN)/cartmesh up

check: setup ## Style, types, topology, and whether derived files are fresh
	@# mypy takes one core for as long as the others take the second one.
	@$(RUN)/mypy & types=$$!; \
	$(RUN)/ruff format --check --quiet . && $(RUN)/ruff check --quiet . \
		&& $(RUN)/cartmesh mesh check && $(RUN)/cartmesh mesh render --check; others=$$?; \
	wait $$types && exit $$others

test drill: export CARTMESH_DATA ?= $(DATA)
test: setup ## Every test, on real servers (some minutes on two cores)
	@$(RUN)/pytest -q -n 4 --dist loadfile --no-loadscope-reorder

drill: setup ## The long runs: kill things, cut links, close pages, count what was lost (nothing)
	@$(RUN)/pytest -q -m drill

bench: setup ## Rates and latencies beside raw nats-py and FastStream
	@$(RUN)/cartmesh bench

render: setup ## Write deploy/generated from topology and code
	@$(RUN)/cartmesh mesh render

clean: ## Remove .venv and caches
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache .hypothesis
