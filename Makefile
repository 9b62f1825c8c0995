# `make all` runs the default study, `make test` the tests; both make what they lack.
PYTHON ?= python3
VENV   ?= .venv
CORES  ?= 8
WORKERS ?= 2
FUZZ_S ?= 600
BIN    := $(VENV)/bin
LOCK   := requirements.lock

.PHONY: all test fuzz lint docs reference lock clean help
all: $(VENV)/.ready  ## run the default study: from data to tables
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/snakemake --cores $(CORES) all

# one thread a worker: the two would otherwise fight for the cores
test: $(VENV)/.ready  ## run the tests, WORKERS files at a time
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

# any outcome but a result or a named error is printed with the number that repeats it
fuzz: $(VENV)/.ready  ## mutate every format that the suite reads, for FUZZ_S seconds
	OMP_NUM_THREADS=1 MPLBACKEND=Agg $(BIN)/python tests/fuzz.py --seconds $(FUZZ_S) --out results/reference/fuzz/fuzz.json

lint: $(VENV)/.ready  ## format, types, and that every test file can be imported
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow models examples
	$(BIN)/pyright
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python .ci/lint_workflow.py
	$(BIN)/python -m pytest --collect-only -qq > /dev/null

docs: $(VENV)/.ready  ## build the documentation into site/; a warning is an error
	$(BIN)/defectbench document
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# ultralytics asks for opencv-python, which needs a system libGL; everything here uses the headless build.
$(VENV)/.ready: pyproject.toml $(LOCK)
	$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info[:2] < (3, 14) else "Python 3.11 to 3.13 is needed; set PYTHON=python3.x")'
	$(PYTHON) -m venv $(VENV) || { echo "the venv module is missing: apt-get install python3-venv" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --constraint $(LOCK) --editable ".[dev]" polars requests
	$(BIN)/python -m pip install --quiet --constraint $(LOCK) --no-deps ultralytics ultralytics-thop ultralytics-platform
	touch $@

# UNTIL=21:30 stops it then; MIRRORS="neu-det=archive.zip" takes data from there; AT_ONCE=2 makes two cells at a time;
# FIRST="fastestdet lidd_net" begins with these; it goes on where it was stopped
reference: $(VENV)/.ready  ## go on with a study of hours or days, STUDY=config/<name>.yaml, from its pinned commit
	@test -n "$(STUDY)" || { echo "name the study: make reference STUDY=config/<name>.yaml" >&2; exit 2; }
	PATH="$(abspath $(BIN)):$$PATH" nice $(BIN)/python benchmarks/reference_study.py "$(STUDY)" \
	  $(if $(UNTIL),--until $(UNTIL)) $(if $(AT_ONCE),--cores $(AT_ONCE)) $(if $(FIRST),--first $(FIRST)) $(foreach m,$(MIRRORS),--mirror "$(m)") --commit

lock:  ## write the lock anew (needs uv)
	uv pip compile pyproject.toml --extra ultralytics --extra dev --extra docs --universal --python-version 3.11 \
	  --no-header --no-annotate --no-emit-index-url --no-emit-find-links --output-file $(LOCK)

clean:  ## remove what the default study made
	rm -rf results/data/demo-steel results/data/demo-steel-cls results/demo

help:
	@grep -E '^[a-z]+:.*##' Makefile | sed 's/:.*##/:/'
