# Two commands matter: `make book` builds the book, `make test` checks everything. `make help` lists the rest.
# Needs Python 3.11 or newer, make and pip. Choose another Python with `make book PYTHON=python3.12`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PAGES := _build/html
BOOK := $(VENV)/.book-installed
TEST := $(VENV)/.test-installed
THREADS ?= 2
EXTRAS ?= book,test
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export WSOLBOOK_PROFILE := book
CHECKS := check-lint check-types check-package check-slow check-pairs check-style check-notebooks \
	check-pages check-browser
HEAD = @printf '\n== %s\n'

.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help book pdf test test-gpu notebooks pair margins publish format clean build $(CHECKS)

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' Makefile

book: build ## build the book and say where it is
	@echo "The book is ready. Open $(CURDIR)/$(PAGES)/index.html"

pdf: build ## print the built book as one PDF; needs Chromium
	$(HEAD) "pdf: the whole book on paper"
	@$(BIN)/python scripts/pdf.py

test: $(TEST) $(CHECKS) ## check everything
	@printf '\nAll checks passed.\n'

notebooks: $(BOOK) ## execute the chapters again; some of them: make notebooks ONLY="02 03"
	$(HEAD) "notebooks: execute every chapter from its percent script"
	@$(BIN)/python scripts/run_notebooks.py $(ONLY)

pair: $(BOOK) ## carry notebooks/text/*.py into the notebooks; the other way: make pair FROM=notebooks
	$(HEAD) "pair: make both halves of every chapter equal"
	@$(BIN)/python scripts/pair.py --source $(or $(FROM),text)

margins: $(TEST) ## how far every check is from its bound, on ten kinds of run; some chapters: make margins ONLY="02"
	$(HEAD) "margins: every check of every chapter that changed"
	@$(BIN)/python scripts/margins.py --jobs $(THREADS) $(ONLY)

publish: $(BOOK) ## write everything that follows from pyproject.toml (address, requirements)
	$(HEAD) "publish: address and requirements"
	@$(BIN)/python scripts/publish.py

format: $(TEST) ## format the code
	@$(BIN)/ruff check --fix --exit-zero
	@$(BIN)/ruff format

clean: ## remove the built book; the environment stays
	rm -rf _build

# --- the checks, in the order of `make test`

check-lint: $(TEST) ## ruff: rules and format
	$(HEAD) "ruff: rules and format"
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

check-types: $(TEST) ## mypy on the package
	$(HEAD) "mypy: types of the package"
	@$(BIN)/mypy

check-package: $(TEST) ## tests of the package, and which lines they reach
	$(HEAD) "pytest: the package"
	@OMP_NUM_THREADS=1 $(BIN)/pytest -m "not slow" -n $(THREADS) --dist loadscope --cov --cov-report=term

check-slow: $(TEST) ## tests of the package that take longer
	$(HEAD) "pytest: tests that take longer"
	@OMP_NUM_THREADS=1 $(BIN)/pytest -m slow -n $(THREADS) --dist loadscope

test-gpu: $(TEST) ## on a machine with a GPU: networks, methods, metrics and training on it
	$(HEAD) "pytest: on the GPU; without one, on a simulated one"
	@$(BIN)/pytest tests/device
	@$(BIN)/pytest -m gpu

check-pairs: $(TEST) ## notebooks equal their twins, derived files follow pyproject.toml
	$(HEAD) "pairs: notebooks and their percent scripts, derived files"
	@$(BIN)/python scripts/pair.py --check
	@$(BIN)/python scripts/publish.py --check

check-style: $(TEST) ## house rules of the chapters
	$(HEAD) "chapters: house rules"
	@$(BIN)/python scripts/lint_notebooks.py

check-notebooks: $(TEST) ## run every chapter and compare with its stored outputs
	$(HEAD) "pytest --nbval: chapters give their stored outputs"
ifneq ($(wildcard notebooks/*.ipynb),)
	@OMP_NUM_THREADS=$(or $(OMP_NUM_THREADS),1) $(BIN)/pytest --nbval notebooks -n $(THREADS) --dist loadscope
else
	@echo "no chapters yet"
endif

check-pages: build ## alt texts, links, nothing fetched from elsewhere
	$(HEAD) "pages: alt texts, links, nothing fetched from elsewhere"
	@$(BIN)/python scripts/lint_pages.py

check-browser: build ## every page in Chromium, light and dark
	$(HEAD) "browser: every page in Chromium, light and dark"
	@$(BIN)/python scripts/browser_check.py

# All pages every time: an unchanged page that is skipped would not repeat its warnings.
build: $(BOOK)
	$(HEAD) "jupyter-book: warnings are errors"
	@$(BIN)/python scripts/vendor.py
	@$(BIN)/python scripts/pages.py
	@$(BIN)/jupyter-book build . --all -W -n --keep-going -q
	@$(BIN)/python scripts/site_files.py

# --- the environment: made when absent, completed when pyproject.toml changed

$(BOOK): pyproject.toml | $(BIN)/python
	$(HEAD) "pip: what the book needs"
	@$(BIN)/python -m pip install --quiet --editable '.[book]'
	@touch $@

$(TEST): pyproject.toml | $(BIN)/python
	$(HEAD) "pip: what the book and the tests need"
	@$(BIN)/python -m pip install --quiet --editable '.[$(EXTRAS)]'
	@touch $@ $(BOOK)

# Debian and Colab split ensurepip off; there the environment gets its pip from the one that is installed.
$(BIN)/python:
	$(HEAD) "venv: $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "wsolbook needs Python 3.11 or newer; $(PYTHON) is: $$($(PYTHON) --version 2>&1)."; \
	  echo "Name another one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import venv' 2>/dev/null || { \
	  echo "$(PYTHON) lacks the venv module (Debian, Ubuntu: apt install python3-venv)."; exit 1; }
	@if $(PYTHON) -c 'import ensurepip; ensurepip.version()' 2>/dev/null; then $(PYTHON) -m venv $(VENV); \
	  else $(PYTHON) -m venv --without-pip $(VENV) && \
	    { $(PYTHON) -m pip --python $(BIN)/python install --quiet pip || { rm -rf $(VENV); exit 1; }; }; fi
