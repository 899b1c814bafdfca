# heats: `make demo` shows it, `make test` checks it. Both set everything up first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Ten minutes for everybody; CI has the time for every test.
MINUTES ?= $(if $(CI),,9)

.PHONY: setup demo test test-all test-fast lint bench campaign clean

setup: $(VENV)/.ready

# uv keeps unpacked packages in a cache and links them, so that only the first set-up takes minutes.
# Bytecode is compiled once here: without it each start of torch takes seconds more where nothing may write it later.
$(VENV)/.ready: requirements.txt pyproject.toml
	@echo "setting up $(VENV) (a few minutes the first time: torch is large)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --link-mode hardlink -r requirements.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable . --config-settings editable_mode=compat
	$(BIN)/python -m compileall -q -j 2 $$($(BIN)/python -c 'import site; print(site.getsitepackages()[0])') > /dev/null || true
	@touch $@

demo: setup
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m tui.cli.demo

test: setup
	@.ci/packages tmux slurm-wlm munge
	$(BIN)/python -m pytest -n 2 --dist worksteal $(if $(MINUTES),--minutes $(MINUTES))

test-all:
	@$(MAKE) test MINUTES=

test-fast: setup
	$(BIN)/python -m pytest -n 2 -m "not slow and not e2e"

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The peers (Lightning, Hugging Face, wandb) live in an environment of their own: they can't change a pin of ours.
.venv-bench/.ready: $(VENV)/.ready requirements-bench.txt
	$(PYTHON) -m venv .venv-bench
	$(BIN)/uv pip install --quiet --python .venv-bench/bin/python -r requirements.txt -r requirements-bench.txt
	$(BIN)/uv pip install --quiet --python .venv-bench/bin/python --no-deps --editable . --config-settings editable_mode=compat
	.venv-bench/bin/python -m compileall -q -j 2 .venv-bench/lib > /dev/null || true
	@touch $@

bench: .venv-bench/.ready
	$(BIN)/python -m tests.bench

campaign: setup
	$(BIN)/python -m tests.campaign

clean:
	rm -rf $(VENV) .venv-bench build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
