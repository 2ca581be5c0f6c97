# make demo    an object from a sentence, in runs/demo     make test   everything that CI runs
# make quick   most tests, in three minutes of one core      make slow   the long tests
# make gpu     train the embedded models on a CUDA machine
# Each makes .venv first if it is not there. On Linux without a GPU, a CPU wheel of torch that pip
# can find (PIP_FIND_LINKS, or an extra index) is preferred over the much larger CUDA build.

PYTHON ?= python3
VENV ?= .venv
PROMPT ?= a traffic cone
OUT ?= runs/demo

BIN := $(VENV)/bin
READY := $(VENV)/.installed
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest

export HF_HUB_OFFLINE := 1
export OMP_WAIT_POLICY := passive

.PHONY: demo test lint quick slow gpu clean

demo: $(READY)
	$(BIN)/dreamlift generate "$(PROMPT)" --out "$(OUT)"
	ls -l "$(OUT)"

test: lint
	$(PYTEST) -n 2 --dist=loadfile

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python

quick: $(READY)
	$(PYTEST) --quick --durations=5 --durations-min=1

slow: $(READY)
	$(PYTEST) -m slow

gpu: $(READY)
	$(BIN)/python -m dreamlift.learn.gpu

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq -c constraints.txt -e '.[dev]'
	touch $@
