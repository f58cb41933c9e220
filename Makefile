# `make run` and `make test` are all that is needed; `make help` lists the rest.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.PHONY: help install run paper ledger test test-system test-published lint bench lock same clean

# The first of these that starts is used, or PYTHON=/path/to/python.
PYTHON ?= $(shell for p in python3.11 python3.12 python3; do $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && echo $$p && break; done)
# QUIET=1: only errors and the ledger.
QUIET ?=
STUDY ?=
CONFIG ?= config/config.yaml
CPU_WHEELS := https://download.pytorch.org/whl/cpu
BIN := .venv/bin
# Where pip's index lacks the CPU build of torch that is pinned, its own index is asked too.
CPU_INDEX = index=; $(BIN)/python -m pip index versions torch 2>/dev/null \
	| grep -F "$$(sed -n 's/^torch==//p' requirements.lock)+cpu" >/dev/null || index="--extra-index-url $(CPU_WHEELS)"
SNAKEMAKE := PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/snakemake $(if $(QUIET),--quiet all)

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-14s%s\n", $$1, $$2}' Makefile

install: .venv/installed ## make .venv and install what requirements.lock pins

.venv/installed: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or 3.12 was found on PATH: install one, or say make PYTHON=/path/to/python"; exit 1; }
	@echo "Installing into .venv (about 1.6 GB; some minutes the first time)"
	"$(PYTHON)" -m venv .venv
	$(CPU_INDEX); \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $$index -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

run: install ## the default studies, offline: the ledger, and where the report is
	@$(SNAKEMAKE)
	@$(BIN)/interneuron claims

paper: install ## the papers' studies: make paper, make paper STUDY=thesis-mnist,thesis-readings
	@$(SNAKEMAKE) --configfile config/paper.yaml $(if $(STUDY),--config 'studies=[$(STUDY)]')
	@$(BIN)/interneuron claims

ledger: install ## merge the last run's claims into docs/ledger.tsv and the README
	$(BIN)/interneuron ledger

test: install ## all tests that need Python only
	$(BIN)/python -m pytest -m "not system and not published" -n 2 --dist loadfile --no-loadscope-reorder --durations=8

test-system: install ## the tests that need a browser or more time (installs Debian's chromium if it may)
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && apt-get install -y -qq chromium >/dev/null; } \
	|| { echo "error: make test-system needs Chromium: install Debian's package chromium, or run it as root where apt-get is"; exit 1; }
	$(BIN)/python -m pytest -m system --durations=8

test-published: install ## the tests that read published data, from the network or INTERNEURON_MIRROR
	$(BIN)/python -m pytest -m published

lint: install ## ruff, snakefmt, snakemake --lint, mypy, generated documentation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check --compact-diff Snakefile rules
	$(SNAKEMAKE) --lint
	$(BIN)/mypy
	$(BIN)/interneuron docs --check

bench: install ## speed beside other libraries, as ratios in one run
	for benchmark in benchmarks/*.py; do echo "--- $$benchmark"; $(BIN)/python $$benchmark; done

lock: install ## resolve requirements.lock anew from pyproject.toml
	$(BIN)/python -m pip install --quiet uv
	sed -nE 's/^torch==.*/&+cpu/p; /^torchvision==/p' requirements.lock > .venv/cpu.txt
	$(CPU_INDEX); \
	$(BIN)/uv pip compile --quiet pyproject.toml --extra dev --python-version 3.11 --constraint .venv/cpu.txt \
	  $$index --index-strategy unsafe-best-match \
	  --no-emit-index-url --no-emit-find-links --no-annotate --no-header | sed 's/+cpu$$//' > .venv/requirements.lock
	mv .venv/requirements.lock requirements.lock

same: install ## run twice, in two folders, and compare the bytes of all results (CONFIG=config/paper.yaml)
	rm -rf .same
	for run in one two; do \
	  mkdir -p .same/$$run; git ls-files -co --exclude-standard -z | xargs -0 cp --parents -t .same/$$run; \
	  (cd .same/$$run; PYTHONPATH="$$PWD" PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --quiet all --configfile $(CONFIG)); \
	done
	cd .same/one && $(CURDIR)/$(BIN)/interneuron verify --against ../two
	rm -rf .same

clean: ## remove what was computed (data/raw stays, with the records of what made it)
	rm -rf data/prepared logs
	[ ! -d results ] || find results -mindepth 1 ! -name provenance.jsonl -delete
