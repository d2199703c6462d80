# make course     set up once, then open JupyterLab on the course (ARGS=--no-browser on a server; TORCH=cpu, cu126 or cu128
#                 for another build of torch than the one that suits this computer; after make clean, to change it)
# make test       set up once, then run every test
# make test-oldest  the same on the oldest versions of the libraries, with coverage, without browser, site and stored pictures
# make sync       write notebooks from their text sources, keeping outputs (newer side wins)
# make outputs    run every notebook anew and store its outputs
# make book       build the site
# make hub        a JupyterHub on this computer, to try a class (IMG2IMG_HUB_PASSWORD=at-least-8-characters make hub)
# make hub-proxy  what JupyterHub and its test need from npm
# make live-packages  what the model in the page needs from npm
# make address    give a fork its own address (URL=https://github.com/you/your-course)
# make benchmark  time edits, sweeps, the slider and each other task on this machine (ARGS=--skip-large: the classroom model only)
PYTHON ?= python3
INSTALL_PYTHON := install Python 3.10 or newer, or name it with make PYTHON=...
ARGS ?=
TORCH ?= auto
VENV := .venv
CONSTRAINTS := constraints.txt
BIN := $(VENV)/bin
NOTEBOOKS := $(wildcard notebooks/*.ipynb)
PROXY := build/proxy
LIVE := build/live
# npm's folders are there long before it is done: a file says that it is
NPM_INSTALL = rm -f $@ && mkdir -p $(@D) && cp $< $(@D) && npm install --silent --no-audit --no-fund --prefix $(@D) && touch $@
# what a learner's JupyterLab and the tests need; `make test` adds what tests alone need
EXTRA ?= course

.PHONY: setup course test test-oldest sync outputs book hub hub-proxy live-packages address benchmark clean
.DELETE_ON_ERROR:

setup: $(VENV)/$(EXTRA).done

$(VENV)/%.done: pyproject.toml $(CONSTRAINTS)
	@command -v "$(PYTHON)" >/dev/null || { echo "No $(PYTHON) was found: $(INSTALL_PYTHON)"; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "$$("$(PYTHON)" --version) is too old: $(INSTALL_PYTHON)"; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || "$(PYTHON)" -m venv --clear $(VENV) || { echo "A virtual environment could not be made: install Python's venv module (on Debian and Ubuntu the package python3-venv)."; exit 1; }
	@echo "Installing the course's packages into $(VENV) (once, some minutes) ..."
	@sh install-torch.sh $(BIN)/python "$(TORCH)" $(CONSTRAINTS)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint $(CONSTRAINTS) --editable '.[$*]' \
		|| { echo "The packages could not be installed: pip's message above says why. No internet? A full disk? They take 2 GB (0.4 to download), with torch for NVIDIA GPUs 6 GB (3 to download; the driver must be 580 or newer). Another Python or system? They want Python 3.10 to 3.14 on Linux (on Windows: WSL, or conda), or on macOS 14 with Apple silicon. Then run make again."; exit 1; }
	@touch $@

# trusted, the stored sliders move before a cell has been run
course: setup
	@$(BIN)/jupyter trust $(NOTEBOOKS) >/dev/null
	@$(BIN)/jupyter-lab $(ARGS) notebooks/01_setup.ipynb

test:
	@$(MAKE) --no-print-directory setup EXTRA=test
	@$(BIN)/python -m tests $(ARGS)

test-oldest:
	@$(MAKE) --no-print-directory test VENV=.venv-oldest CONSTRAINTS=constraints-oldest.txt ARGS=--libraries-only

sync:
	@$(MAKE) --no-print-directory setup EXTRA=test
	@$(BIN)/jupytext --sync notebooks/source/*.md

outputs:
	@$(MAKE) --no-print-directory setup EXTRA=test
	@$(BIN)/python -m tests.notebook_outputs store $(NOTEBOOKS)

# without npm, or its packages, the site says that it was built without the model in the page
book:
	@$(MAKE) --no-print-directory setup EXTRA=book
	-@$(MAKE) --no-print-directory live-packages
	@$(BIN)/python -m sphinx -q -W -b html book build/book
	@echo "Open build/book/index.html"

hub: hub-proxy
	@$(MAKE) --no-print-directory setup EXTRA=hub
	@PATH="$(CURDIR)/$(PROXY)/node_modules/.bin:$$PATH" $(BIN)/python -m jupyterhub -f book/hub/jupyterhub_config.py

hub-proxy: $(PROXY)/installed

# the newest that Node.js 20 runs without a warning
$(PROXY)/installed: book/hub/package.json
	@command -v npm >/dev/null || { echo "No npm was found: JupyterHub's proxy needs Node.js 20 or newer, with npm."; exit 1; }
	@$(NPM_INSTALL)

live-packages: $(LIVE)/installed

$(LIVE)/installed: book/live/package.json
	@command -v npm >/dev/null || { echo "No npm was found: the model in the page needs Node.js 20 or newer, with npm."; exit 1; }
	@$(NPM_INSTALL)

address:
	@"$(PYTHON)" book/address.py $(URL)

benchmark:
	@$(MAKE) --no-print-directory setup
	@$(BIN)/python -m benchmarks $(ARGS)

clean:
	@rm -rf .venv .venv-oldest build book/notebooks book/generated
