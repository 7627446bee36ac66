# Everything here starts from a bare checkout: the environment is made in .venv, with the versions of constraints.txt.
# TORCH_INDEX=… is handed to pip for torch alone (a CPU or a certain CUDA build); empty takes pip's own index.
PYTHON ?= python3
TORCH_INDEX ?=
SEED ?= 1
ARGS ?=

BIN := .venv/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check --no-build-isolation
PINNED := --constraint constraints.txt
MADE := .venv/.made
WEB := .venv/.web
TRAIN := .venv/.train
TEST := .venv/.test

export TORCH_INDEX
.DEFAULT_GOAL := help
.PHONY: help run loop test race chaos check bench bench-training bench-ways bench-gpu words migrate clean

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' Makefile | while IFS='|' read -r name words; do printf '  make %-14s %s\n' "$$name" "$$words"; done

run: $(WEB) ## start everything on this machine; Ctrl-C stops it
	@exec $(BIN)/python -m app.supervision --install

loop: $(TRAIN) ## the whole loop without a browser, with simulated annotators (SEED=7)
	@exec $(BIN)/python -m workers.demo.loop --seed $(SEED) $(ARGS)

test: $(TEST) ## make what the tests need, Chromium included, and run them (ARGS="tests/app -k lease")
	@sh .ci/chromium
	@exec $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

race: $(TEST) ## 200 people at once over 5,000 tasks, three answers each, by the real hand-out; prints what there is then
	@exec $(BIN)/python -m tests.app.tasks.race $(ARGS)

chaos: $(TEST) ## people work while everything is killed, frozen, cut and filled up; into var/chaos.json (ARGS="--scale 0.1")
	@exec $(BIN)/python -m tests.chaos $(ARGS)

check: $(TEST) ## ruff, types, architecture, translations
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q tests/test_architecture.py tests/app/test_words.py

bench: $(TEST) ## measure, print, and write var/bench.json
	@exec $(BIN)/python -m tests.bench $(ARGS)

bench-training: $(TEST) ## our training beside TRL's in one run, into var/bench-training.json (ARGS="ppo --repeats 1")
	@exec $(BIN)/python -m tests.bench.training $(ARGS)

bench-ways: $(TEST) ## joint against modular reward models on the same votes, into var/bench-ways.json (ARGS="--seeds 1")
	@exec $(BIN)/python -m tests.bench.ways $(ARGS)

bench-gpu: $(TRAIN) ## one card within 10 minutes, into var/bench-gpu.json and .md (ARGS="--tiny" tries it on a CPU)
	@exec $(BIN)/python -m tests.bench.gpu $(ARGS)

words: $(WEB) ## collect the sentences of the interface for the translators of locale/
	@exec $(BIN)/python -m app.words

migrate: $(WEB) ## bring the database to the newest schema
	@exec $(BIN)/python -m app.cli migrate

clean: ## remove the environment and the caches; var/ with your data stays
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find app workers tests migrations -name __pycache__ -type d -prune -exec rm -rf {} +

$(MADE):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'Hone needs Python 3.11 or newer. Name one with: make PYTHON=python3.12 run'; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo 'python3-venv is missing. On Debian and Ubuntu: sudo apt install python3-venv'; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || \
		{ echo 'Making the environment in .venv …'; rm -rf .venv && $(PYTHON) -m venv .venv; }
	@touch $@

$(WEB): $(MADE) pyproject.toml constraints.txt
	@echo 'Installing the web …'
	@$(PIP) $(PINNED) setuptools
	@$(PIP) $(PINNED) --editable .
	@touch $@

# torch before anything that would pull another build of it
$(TRAIN): $(WEB)
	@echo 'Installing torch and what trains; this takes minutes …'
	@$(PIP) $(if $(TORCH_INDEX),--no-deps --index-url "$(TORCH_INDEX)",$(PINNED)) torch==2.13.0
	@$(PIP) $(PINNED) --editable '.[train]'
	@touch $@

$(TEST): $(TRAIN)
	@echo 'Installing what tests …'
	@$(PIP) $(PINNED) --editable '.[train,test]'
	@touch $@
