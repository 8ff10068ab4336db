# Each target is a script in scripts/; the first run of any of them creates .venv.
.PHONY: help serve cluster test check lint docs audit lock clean \
	bench-fanout bench-connect bench-memory bench-control bench-idle bench-peers bench-metrics bench-redeem bench-capacity bench-simulation bench-cluster bench-cores bench-chatroom bench-review bench-encrypted bench-encrypted-peers bench-price bench-beyond bench-storm bench-soak bench-verify
PYTHON ?= python3
export PYTHON

help: ## Show this
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 16

serve: ## Start the service on the embedded store; ARGS="--port 0" goes to it
	@scripts/install runtime
	@exec .venv/bin/greenroom serve $(ARGS)

cluster: ## Start three nodes with PostgreSQL and NATS, to try; ARGS="--nodes 2 --port 0" goes to it
	@scripts/install cluster
	@exec .venv/bin/python -m scripts.servers.cluster $(ARGS)

test: ## Run every check and every test; PYTEST_ARGS="tests/model -x" goes to pytest
	@exec scripts/test

check: ## Look at code, changelog and documentation without running the tests
	@scripts/check

lint: ## Only format, rules, types and layers
	@scripts/lint

docs: ## Build the documentation into build/docs
	@scripts/docs

audit: ## Look the locked packages up among the known vulnerabilities; write build/sbom.json
	@scripts/audit

lock: ## Write requirements/*.txt again
	@scripts/lock

bench-fanout: ## Measure what it costs to write to everybody in a room; ARGS="--rounds 1" goes to it
	@exec scripts/bench fanout $(ARGS)

bench-connect: ## Measure what one accepted connection costs
	@exec scripts/bench connect $(ARGS)

bench-memory: ## Measure what an idle connection keeps
	@exec scripts/bench memory $(ARGS)

bench-control: ## Measure how many requests the API answers
	@exec scripts/bench control $(ARGS)

bench-idle: ## Measure what 20,000 idle connections cost
	@exec scripts/bench idle $(ARGS)

bench-review: ## Measure a room beside another one whose review handler hangs
	@exec scripts/bench review $(ARGS)

bench-capacity: ## Reckon what so many viewers need
	@exec scripts/bench capacity

bench-simulation: ## Run many nodes in one process, and reckon with what that costs
	@exec scripts/bench simulation

bench-cluster: ## Measure what it costs that several nodes serve a room, beside other servers
	@exec scripts/bench cluster $(ARGS)

bench-cores: ## Measure what two processes behind one port carry, compared with one
	@exec scripts/bench cores $(ARGS)

bench-redeem: ## Measure what using up chat tokens costs with PostgreSQL
	@exec scripts/bench redeem $(ARGS)

bench-chatroom: ## Measure what receiving costs the Python client
	@exec scripts/bench chatroom $(ARGS)

bench-peers: ## Measure the fan-out of other servers beside ours
	@exec scripts/bench peers $(ARGS)

bench-encrypted: ## Measure what TLS costs in a room and in connecting
	@exec scripts/bench encrypted $(ARGS)

bench-encrypted-peers: ## Measure the fan-out of other servers over TLS beside ours
	@exec scripts/bench encrypted_peers $(ARGS)

bench-price: ## Measure what chat logs, review, metrics and TLS cost, each and together
	@exec scripts/bench price $(ARGS)

bench-beyond: ## Measure what costs more that IVS Chat does not have: history, bans, modes, counts
	@exec scripts/bench beyond $(ARGS)

bench-storm: ## Measure how 5,000 TLS clients come back at once
	@exec scripts/bench storm $(ARGS)

bench-soak: ## Run for an hour over TLS with viewers who come and go; ARGS="--seconds 1500" goes to it
	@exec scripts/bench soak $(ARGS)

bench-verify: ## Measure the README's ratios again, and say which hold
	@exec scripts/bench verify $(ARGS)

bench-metrics: ## Measure what counting adds to the fan-out
	@exec scripts/bench metrics $(ARGS)

clean: ## Remove everything that the other targets made; data directories stay
	@rm -rf .venv build dist tests/interop/node_modules benchmarks/peers/node_modules \
		.coverage* htmlcov .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find src tests docs benchmarks scripts -name __pycache__ -type d -prune -exec rm -rf {} +
