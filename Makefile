# Two commands do all their own set-up: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test lint lock docs wheel picture clean

# The main job on embedded data: train on scikit-learn's handwritten digits, show the score, predict with the result.
demo: $(STAMP)
	$(BIN)/lamina train digits --test 0.2 -o digits.lamina
	$(BIN)/lamina show digits.lamina | head -n 12

# One process a core, each with one thread: OpenMP's threads spin while they wait, and two processes would trample each
# other (benchmarks/LOG.md).
test: lint
	OMP_NUM_THREADS=1 $(BIN)/pytest --cov -n auto --dist worksteal

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(STAMP): requirements.lock pyproject.toml hatch_build.py $(wildcard src/lamina/native/*.[ch])
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

# The lock is what is installed, without this package: run it in an environment that passes the tests.
lock:
	$(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' > requirements.lock

docs: $(STAMP)
	$(BIN)/python docs/make_help.py
	$(BIN)/python docs/make_textbook.py

wheel: $(STAMP)
	$(BIN)/python -m build --no-isolation

picture: $(STAMP)
	$(BIN)/python docs/make_explanation.py
	$(BIN)/python docs/make_report_pictures.py
	$(BIN)/python docs/make_readme_pictures.py

clean:
	rm -rf $(VENV) dist build digits.lamina
