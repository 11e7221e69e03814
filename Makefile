# Two commands matter: `make tutorial` and `make test`. The rest is for those who write.
# Plain pip throughout: it honours PIP_FIND_LINKS, PIP_EXTRA_INDEX_URL and your pip.conf.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: tutorial doctor test coverage lint lab notebooks bench site clean
.DEFAULT_GOAL := tutorial

tutorial: $(VENV)/ready
	@$(BIN)/python -m helpers tutorial

test: lint
	@$(BIN)/python -m pytest -n 2 --dist worksteal --durations 20

# Judges coverage only. A test that takes write permission away cannot pass under it: `make test` says what passes.
coverage: $(VENV)/ready-test
	@$(BIN)/python -m coverage erase
	-@$(BIN)/python -m coverage run -m pytest -n 2 --dist worksteal \
	  --ignore tests/test_notebooks.py --ignore tests/test_browser.py --ignore tests/lab/test_site.py
	-@$(BIN)/python -m coverage combine --quiet
	@$(BIN)/python -m coverage report

doctor: $(VENV)/ready
	@$(BIN)/python -m helpers doctor

lint: $(VENV)/ready-test
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/codespell

lab: $(VENV)/ready
	@$(BIN)/jupyter trust notebooks/*.ipynb >/dev/null  # else JupyterLab shows none of their figures
	@$(BIN)/jupyter lab notebooks

notebooks: $(VENV)/ready
	@$(BIN)/python -m helpers tutorial --commit-outputs

bench: $(VENV)/ready
	@$(BIN)/python -m helpers bench

site: $(VENV)/ready-site
	@$(BIN)/python -m helpers.lab.site

clean:
	rm -rf build $(VENV)

# The stamps are written last, so an interrupted installation is taken up again and never taken for a whole one.
# They go by dates: after a wrong clock, delete them. `python -m helpers doctor` compares the versions themselves.
$(VENV)/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || \
	  { echo "This tutorial needs Python 3.11, and '$(PYTHON)' is not one: install it, or name it with make PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv --clear $(VENV) || \
	  { echo "Python's venv module is missing: on Debian and Ubuntu, apt install python3.11-venv"; exit 1; }
	@echo "Installing the environment into $(VENV) (once; about 1.6 GB)"
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/ready-test: $(VENV)/ready
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,site]'
	@touch $@

$(VENV)/ready-site: $(VENV)/ready
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[site]'
	@touch $@
