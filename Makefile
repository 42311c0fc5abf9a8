.DEFAULT_GOAL := help
.PHONY: help up down test test-all lint release unit bench venv
BIN := .venv/bin
# number of pytest processes for the tests that may run in parallel
WORKERS ?= 2
PARALLEL := -n $(WORKERS) --dist loadgroup --no-loadscope-reorder

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 18

up: ## create the cluster, build the images, install the release and start an example session
	@python3 -m hack.up

down: ## delete the cluster; keep caches and images
	@python3 -m hack.down

# Both calls of pytest run, so that one run shows all failures.
define run-tests
	@python3 -m hack.install_test_tools
	@$(MAKE) --no-print-directory -j2 lint release
	@trap 'exit 130' INT; result=0; \
	printf '\n===== 1 of 2: tests that may run in parallel =====\n\n'; \
	$(BIN)/pytest tests -m "not speech and not disruptive and ($(SELECTION))" $(PARALLEL) --durations=20 || result=1; \
	printf '\n===== 2 of 2: speech and disruptive tests, one at a time =====\n\n'; \
	$(BIN)/pytest tests -m "(speech or disruptive) and ($(SELECTION))" --durations=20 || result=1; \
	exit $$result
endef

test: SELECTION := not slow
test: venv ## run lint and the tests of the gate, on a real cluster
	$(run-tests)

test-all: SELECTION := slow or not slow
test-all: venv ## run lint and every test, also the slow ones
	$(run-tests)

lint: venv ## check formatting, lint, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m hack.check_prose --figures
	$(BIN)/mypy
	$(BIN)/mypy hack
	$(BIN)/mypy hack/images/fake-agent/*.py hack/images/trial-agent/*.py examples/own-agent/*.py
	$(BIN)/lint-imports
	$(BIN)/python -m hack.check_files $$(git ls-files)
	@if command -v shellcheck >/dev/null; then shellcheck hack/images/*.sh hack/images/*/*.sh .ci/run; fi

release: venv
	@python3 -m hack.up --without-example

unit: venv ## run the tests without a cluster
	$(BIN)/pytest tests/unit tests/contract

bench: release ## run the benchmarks on the cluster and write docs/benchmarks.md
	@python3 -m hack.install_test_tools
	$(BIN)/python -m tests.bench.bench

.PHONY: docs
docs: venv ## generate docs/reference.md and the dashboards
	$(BIN)/python -m hack.reference
	$(BIN)/python -m hack.dashboards

venv: ## create or update the virtual environment
	@python3 -m hack.venv
