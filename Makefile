# One short command per job; each sets up .venv by itself.
PYTHON ?= python3
BIN := .venv/bin
SOURCES := $(shell find csrc pyx nnfast CMakeLists.txt pyproject.toml -type f -not -name '*.pyc')

.PHONY: demo test dev lint format bench docs clean

demo: .venv/installed  ## train on real digits, check every layer, measure
	$(BIN)/nnfast demo

test: .venv/installed  ## the whole test suite, against the installed package
	$(BIN)/pytest

dev: .venv/bin/python  ## editable install that rebuilds on import, with every tool
	$(BIN)/pip install -q scikit-build-core cython numpy cmake ninja
	$(BIN)/pip install -q --no-build-isolation -C editable.rebuild=true -C build-dir=build/dev \
		-C cmake.define.NNFAST_WERROR=ON -e ".[test,bench,train,lint]"

lint: .venv/lint-tools  ## formatting, style, types, spelling
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror csrc/*.c csrc/*.h csrc/kernels/*
	$(BIN)/mypy
	$(BIN)/codespell

format: .venv/lint-tools
	$(BIN)/ruff check --fix . ; $(BIN)/ruff format .
	$(BIN)/clang-format -i csrc/*.c csrc/*.h csrc/kernels/*

bench: .venv/installed  ## training steps and layers against the NumPy twins
	$(BIN)/python -m bench steps
	$(BIN)/python -m bench layers

docs: .venv/installed  ## API pages into build/docs
	$(BIN)/python -m docs.build build/docs

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python $(SOURCES)
	$(BIN)/pip install -q ".[test,bench,train]"
	touch $@

.venv/lint-tools: .venv/installed
	$(BIN)/pip install -q ".[lint]"
	touch $@

clean:
	rm -rf .venv build dist
