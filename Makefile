# The verbs of this repository. `make` alone lists them; CI runs `check` and `test` through .ci/run.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help need build demo check test engines fleet bench soak audit clean-containers clean-images

MINUTES ?= 10

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

need: ## install what `test` and `demo` need and this machine lacks (Debian, Ubuntu; as root)
	@scripts/need test demo

build: ## the programs, optimised: target/release/redeploy-agent, redeploy-coordinator, redeployctl
	@scripts/need build
	cargo build --locked --release -p redeploy-agent -p redeploy-coordinator

demo: ## redeploy, undo and revert of a small web app, then of a group, on this machine's engine (as root)
	@scripts/need demo
	cargo build --locked --quiet -p redeploy-agent -p redeploy-coordinator
	@scripts/demo

check: ## format, lints, documentation
	@scripts/need check
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps --quiet

test: ## all tests, end to end ones included (as root, next to a Docker Engine)
	@scripts/need test
	cargo build --locked --workspace --bins
	if cargo nextest --version >/dev/null 2>&1; then \
		cargo nextest run --locked --workspace; \
		if scripts/has-doc-tests; then cargo test --locked --workspace --doc --quiet; fi; \
	else \
		cargo test --locked --workspace; \
	fi

engines: ## the suites on Engine 26 and 28, with overlay2 and the containerd store: half an hour (as root)
	@scripts/need test
	cargo build --locked --workspace --bins
	cargo run --locked -p redeploy-tests --example engines

fleet: ## three hosts with engines of their own, and every fault at every record: half an hour (as root)
	@scripts/need test
	cargo build --locked --workspace --bins
	REDEPLOY_FLEET=all cargo test --locked -p redeploy-tests --test fleet -- --nocapture --test-threads=1

bench: ## ratios against the floor, tar, pigz and gzip; BENCH_GIB=4 BENCH_ROUNDS=3 (as root, next to an engine)
	@scripts/need bench
	cargo build --locked --release -p redeploy-agent -p redeploy-coordinator
	cargo bench --locked -p redeploy-tests --bench packing --bench rounds --bench downtime --bench idle

soak: ## the end-to-end suites again and again for MINUTES=10, and a look at what they leave
	@scripts/need test
	@scripts/soak $(MINUTES)

audit: ## licences, bans, sources of all dependencies; advisories when their database is at hand
	@scripts/need audit
	cargo deny --workspace check bans licenses sources
	@if cargo deny --offline fetch db >/dev/null 2>&1; then cargo deny --offline check advisories; \
	else echo 'audit: advisories not checked: no database here; `cargo deny fetch db` gets it where GitHub is reachable'; fi

clean-containers: ## remove containers, volumes and networks of interrupted tests and demos
	@scripts/clean-docker containers

clean-images: ## remove the images that tests keep for the next run
	@scripts/clean-docker images
