# Two commands matter: `make tutorial` and `make test`. The rest is for those who write.
# Plain pip throughout: it honours PIP_FIND_LINKS, PIP_EXTRA_INDEX_URL and your pip.conf. TORCH_INDEX=… names the
# index that torch comes from, TORCH_INDEX= leaves the choice to pip; else helpers/lab/install.py decides.
VENV := .venv
BIN  := $(VENV)/bin
# PYTHON=… names an interpreter; else it is the environment's own, or the first that fits. CI runs 3.11.
WHO     = import sys; v = sys.version_info[:2]; print("Python %d.%d of %s" % (*v, sys.base_prefix)); sys.exit(not (3, 11) <= v <= (3, 14))
PYTHON ?= $(shell for python in $(BIN)/python python3.11 python3.12 python3.13 python3.14 python3; do \
  $$python -c '$(WHO)' >/dev/null 2>&1 && echo $$python && break; done)

INSTALL = $(BIN)/python -I helpers/lab/install.py
RESOLVE = $(BIN)/uv pip compile --quiet --only-binary :all: --all-extras --no-annotate --no-header pyproject.toml
NOT_PINNED = ^(nvidia|cuda|triton|setuptools)

.PHONY: tutorial doctor test coverage lint lab notebooks bench site lock lock-check clean FORCE
.DEFAULT_GOAL := tutorial

# CHAPTERS="05 07" or FROM=06 runs a part, ARGS=--fresh also what was kept.
tutorial: $(VENV)/ready
	@$(BIN)/python -m helpers tutorial $(if $(FROM),--from $(FROM)) $(ARGS) $(CHAPTERS)

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
	@$(BIN)/python -m helpers.lab.desk $(ARGS)

notebooks: $(VENV)/ready
	@$(BIN)/python -m helpers tutorial --commit-outputs

bench: $(VENV)/ready
	@$(BIN)/python -m helpers bench

site: $(VENV)/ready-site
	@$(BIN)/python -m helpers.lab.site
	$(if $(SERVE),@$(BIN)/python -m http.server --bind 127.0.0.1 --directory build/site 0)

# constraints.txt anew, with the newest versions that all Pythons from 3.11.0 to 3.14 accept.
lock: $(VENV)/ready-lock
	@$(RESOLVE) --universal --fork-strategy fewest --python-version 3.11.0 >$(VENV)/resolved.txt
	@{ sed -n '/^#/p' constraints.txt; sed 's/ ;.*//' $(VENV)/resolved.txt | grep -vE '$(NOT_PINNED)'; } >$(VENV)/pins.txt
	@mv $(VENV)/pins.txt constraints.txt

# Resolves the pins as each Python would, from wheels alone, and finds what a Python needs and no pin names.
lock-check: $(VENV)/ready-lock
	@for version in 3.11.0 3.12.0 3.13.0 3.14.0; do \
	  echo "Python $$version"; \
	  $(RESOLVE) -c constraints.txt --python-version $$version >$(VENV)/resolved.txt || exit 1; \
	  ! grep -vE '$(NOT_PINNED)' $(VENV)/resolved.txt | grep -vxFf constraints.txt || \
	    { echo "constraints.txt does not pin these"; exit 1; }; \
	done

# It leaves lab/, which holds your own work.
clean:
	rm -rf build $(VENV)

# The stamps are written last, so an interrupted installation is taken up again and never taken for a whole one.
# They go by dates: after a wrong clock, delete them. `python -m helpers doctor` compares the versions themselves.
$(VENV)/ready: pyproject.toml constraints.txt $(VENV)/pyvenv.cfg
	@$(INSTALL)
	@touch $@

$(VENV)/ready-test: $(VENV)/ready
	@$(INSTALL) test,site
	@touch $@

$(VENV)/ready-site: $(VENV)/ready
	@$(INSTALL) site
	@touch $@

$(VENV)/ready-lock: $(VENV)/ready
	@$(INSTALL) lock
	@touch $@

# Looked at every time, written only when there is none, or another interpreter is named.
$(VENV)/pyvenv.cfg: FORCE
	@python="$(PYTHON)"; who=$$($$python -c '$(WHO)' 2>/dev/null) || \
	  { echo "This tutorial needs Python 3.11 to 3.14, and '$$python' is not one: install it, or name it with make PYTHON=/path/to/python3"; exit 1; }; \
	was=$$($(BIN)/python -c '$(WHO)' 2>/dev/null); \
	if [ "$$who" != "$$was" ] || [ ! -x $(BIN)/pip ]; then \
	  echo "Making $(VENV) with $$who$${was:+, anew: it was $$was}"; \
	  $$python -m venv --clear $(VENV) || \
	    { echo "Python's venv module is missing: on Debian and Ubuntu, apt install python3-venv"; exit 1; }; \
	fi

FORCE:
