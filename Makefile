# One short command per job; each sets up .venv by itself.
PYTHON ?= python3
BIN := .venv/bin
SOURCES := $(shell find csrc pyx nnfast CMakeLists.txt pyproject.toml -type f -not -name '*.pyc')
C_SOURCES := $(wildcard csrc/*.c csrc/*.h csrc/kernels/*.c csrc/kernels/*.h bench/*.c)
DOCUMENTED := nnfast nnfast.models nnfast.datasets nnfast.runtime nnfast.testing nnfast.backend \
	nnfast.reference nnfast.compat

.PHONY: help demo test dev lint format bench performance docs test-all-pythons clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 20

demo: .venv/installed  ## train on real digits, check every layer, measure
	$(BIN)/nnfast demo

test: .venv/installed  ## the whole test suite, against the installed package
	$(BIN)/pytest

dev: .venv/bin/python  ## editable install that rebuilds on import, with every tool
	$(BIN)/pip install -q scikit-build-core cython numpy cmake ninja
	$(BIN)/pip install -q --no-build-isolation -C editable.rebuild=true -C editable.verbose=false -C build-dir=build/dev \
		-C cmake.define.NNFAST_WERROR=ON -e ".[test,bench,train,lint,docs]"
	touch .venv/installed .venv/tools

lint: .venv/tools  ## formatting, style, types, spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $(C_SOURCES)
	$(BIN)/mypy
	$(BIN)/codespell

format: .venv/tools  ## let ruff and clang-format rewrite the files
	-$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(C_SOURCES)

bench: .venv/installed  ## training steps and layers against the NumPy twins
	$(BIN)/python -m bench steps
	$(BIN)/python -m bench layers

performance: .venv/installed  ## everything against PyTorch, into docs/performance.md (most of an hour)
	$(BIN)/python -c "import torch" # in .venv by your choice: it is large
	$(BIN)/python -m bench performance

docs: .venv/tools  ## API pages into build/docs
	$(BIN)/pdoc --docformat numpy --output-directory build/docs $(DOCUMENTED)

test-all-pythons:  ## build and test on every CPython from 3.10 to 3.13 found here
	tools/test_all_pythons.sh

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python $(SOURCES)
	$(BIN)/pip install -q ".[test,bench,train]"
	touch $@

.venv/tools: .venv/installed
	$(BIN)/pip install -q ".[lint,docs]"
	touch $@

clean:  ## remove everything that is built
	rm -rf .venv build dist nnfast-demo
