# `make` alone says what there is. PYTHON=python3.12 chooses an interpreter.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Nothing of the user's own Python or Jupyter reaches the book, and nothing of the book reaches it.
export PYTHONNOUSERSITE := 1
export JUPYTER_PREFER_ENV_PATH := 1
export JUPYTER_DATA_DIR := $(abspath $(VENV))/share/jupyter
export JUPYTER_CONFIG_DIR := $(abspath $(VENV))/etc/jupyter
export IPYTHONDIR := $(abspath $(VENV))/share/ipython

.DEFAULT_GOAL := help
.PHONY: help setup book test course pdf demo bench gpu minutes cells format lint clean

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; (3, 11) <= sys.version_info < (3, 14) or sys.exit("Python 3.11 to 3.13 is needed, this is %d.%d; try make PYTHON=python3.13" % sys.version_info[:2])'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[book,test]'
	@touch $@

setup: $(STAMP) ## Make .venv and install everything (book and test do it by themselves)

book: $(STAMP) ## Run every chapter, render the pages, check them
	@$(BIN)/python -m book.tools.build

# One kernel or one test worker a core, one thread each: faster than two that wait for each other.
test: $(STAMP) ## Run every test: library, notebooks, pages
	ALIGN_TIER=smoke OMP_NUM_THREADS=1 TQDM_DISABLE=1 $(BIN)/python -m pytest \
		-n auto --maxprocesses 8 --dist loadfile --nbval-lax --nbval-current-env tests book

course: $(STAMP) ## Notebooks for students and for instructors, slides, the graded project
	@$(BIN)/python -m book.tools.course

pdf: $(STAMP) ## After `make book`: print the book to one PDF (needs Chromium and its driver)
	@$(BIN)/python -m book.tools.pdf

demo: $(STAMP) ## Train ERM and ALIGN on the embedded benchmark and compare them
	@$(BIN)/python -m align demo

bench: $(STAMP) ## Measure the speed of data, training and metrics
	@$(BIN)/python -m align speed

# On a machine that has PyTorch and no network nothing is installed: the checkout is enough.
MINUTES ?= 8
GPU_PYTHON = $(if $(wildcard $(STAMP)),$(BIN)/python,$(PYTHON))

gpu: ## Check, time and train on this GPU: MINUTES=8, OUT=folder, DEVICE=cpu rehearses
	@PYTHONPATH="$(CURDIR):$(CURDIR)/book$${PYTHONPATH:+:$$PYTHONPATH}" $(GPU_PYTHON) -m align gpu \
		--minutes "$(MINUTES)" $(if $(DEVICE),--device "$(DEVICE)") $(if $(OUT),--out "$(OUT)") \
		$(if $(PACKED),--packed "$(PACKED)")

minutes: $(STAMP) ## After a build: keep what it measured for the table of minutes
	@$(BIN)/python -m book.tools.minutes

cells: $(STAMP) ## After a change of address in _config.yml: rewrite all that derives from it
	@$(BIN)/python -m book.tools.first_cell --write
	@$(BIN)/python -m book.tools.citation --write
	@$(BIN)/python -m book.tools.strip --write

format: $(STAMP) ## Format code and notebooks, take outputs out of the notebooks
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .
	@$(BIN)/python -m book.tools.strip --write

lint: $(STAMP) ## Check format, style and notebooks without changing them
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/python -m book.tools.strip --check
	@$(BIN)/python -m book.tools.first_cell --check
	@$(BIN)/python -m book.tools.citation --check

clean: ## Remove what was built (the environment in .venv stays)
	rm -rf _build .pytest_cache .ruff_cache .hypothesis
