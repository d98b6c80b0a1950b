# make demo   what a newcomer wants to see        make test   all tests
# make docs   the site of the documentation, in build/site (warnings are errors)
# make check  format, lint, types, layers         make bench  every benchmark (DATA=folder of data sets)
VENV ?= .venv
PYTHON ?= python3
DATA ?= ../shared/data
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test docs check format page bench clean

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing into $(VENV) (torch among it: this takes minutes the first time)"
	$(PIP) -e ".[offline]"
	@touch $@

$(VENV)/.installed-test: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing into $(VENV) (torch among it: this takes minutes the first time)"
	$(PIP) -e ".[test]"
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -e ".[dev]"
	@touch $@ $(VENV)/.installed-test $(VENV)/.installed

demo: $(VENV)/.installed
	@mkdir -p build
	$(BIN)/semvec encode examples/data/human_rights.txt -o build/demo.npy --overwrite
	$(BIN)/python examples/nearest.py build/demo.npy "Everyone has the right to education."

test: $(VENV)/.installed-test
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest $(ARGS)

docs: $(VENV)/.installed
	$(PIP) -e ".[docs]"
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "build/site/index.html"

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_layers.py

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# the library that draws the points of a page, made anew from npm (node and a network are needed)
PAGE = regl-scatterplot@1.16.0 esbuild@0.28.2
page:
	@mkdir -p build/page && cd build/page && npm init -y > /dev/null && npm install --silent $(PAGE)
	cd build/page && echo "export { default } from 'regl-scatterplot';" > entry.js && npx esbuild entry.js --bundle --minify \
	  --format=iife --global-name=Scatterplot --legal-comments=none --outfile=../../semvec/visualise/web/scatterplot.min.js

bench: $(VENV)/.installed-test
	$(BIN)/python benchmarks/run.py --data $(DATA)

clean:
	rm -rf build $(VENV) .pytest_cache .mypy_cache .ruff_cache
