# Each target is a script in scripts/; the first run of any of them creates .venv.
.PHONY: help serve test check lint docs lock clean
PYTHON ?= python3
export PYTHON

help: ## Show this
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 8

serve: ## Start the service on the embedded store; ARGS="--port 0" goes to it
	@scripts/install runtime
	@exec .venv/bin/greenroom serve $(ARGS)

test: ## Run every check and every test; PYTEST_ARGS="tests/model -x" goes to pytest
	@exec scripts/test

check: ## Look at code, changelog and documentation without running the tests
	@scripts/check

lint: ## Only format, rules, types and layers
	@scripts/lint

docs: ## Build the documentation into build/docs
	@scripts/docs

lock: ## Write requirements/*.txt again (needs uv)
	@scripts/lock

clean: ## Remove everything that the other targets made; data directories stay
	@rm -rf .venv build dist tests/interop/node_modules .coverage* htmlcov \
		.mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find src tests docs -name __pycache__ -type d -prune -exec rm -rf {} +
