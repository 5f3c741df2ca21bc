# Two commands for a user: `make demo` and `make test`. Everything they need is installed into .venv.
SHELL := /bin/bash
# bash counts its own SECONDS and make passes it on: only what the user gave counts.
unexport SECONDS
# Tests start hundreds of processes: where an environment forbids it, each would compile all sources again.
export PYTHONDONTWRITEBYTECODE =
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: help demo test install lint bench chaos compose compose-up compose-down compose-env proto clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP)  ## Install what is missing into .venv (cheap when nothing changed)

$(STAMP): pyproject.toml constraints.txt
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { rm -rf .venv; $(PYTHON) -m venv .venv; } || \
	  { rm -rf .venv; echo "Python's venv is missing; on Debian: apt-get install python3-venv" >&2; exit 2; }
	@echo 'installing into .venv: a minute, on a slow line several'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: install  ## A complete local axis with six agencies and traffic (Ctrl-C stops it)
	$(BIN)/axis demo

WORKERS ?= $(shell nproc)

test: install system  ## The whole test suite (WORKERS=n at once)
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder --durations=20 --cov=axis.core --cov=axis.flow --cov-branch --cov-report=term:skip-covered --cov-fail-under=99.5

lint: install  ## ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: install  ## The whole journey, edXML packets, the journal on SQLite and on a cluster, and the console over a million events, measured
	$(BIN)/axis bench journey --documents 1000
	$(BIN)/python -m bench.edxml
	$(BIN)/python -m bench.journal
	$(BIN)/python -m bench.console

chaos: install system  ## Break nodes, servers, links, disks, clocks under load (SECONDS=n SEED=n KINDS=a,b ENGINE=embedded), count losses
	$(BIN)/python -m bench.chaos --engine $(or $(ENGINE),cluster) --seconds $(or $(SECONDS),120) --seed $(or $(SEED),1) \
	  --kinds "$(KINDS)"

PROFILE ?= default
COMPOSE = $(BIN)/python -m deploy.compose

compose: install  ## Build the image, start all containers, check them, take everything down
	$(COMPOSE) check $(PROFILE)

compose-up: install  ## Start the containers; returns when all are healthy
	$(COMPOSE) up $(PROFILE)

compose-down: install  ## Stop the containers and remove them with their volumes
	$(COMPOSE) down $(PROFILE)

compose-env:  # eval "$(make -s compose-env)" points docker at the engine in use
	@$(PYTHON) -m deploy.compose env

proto: install  ## Generate the Python modules from proto/axispb
	$(BIN)/python -m grpc_tools.protoc --proto_path=proto --python_out=proto --pyi_out=proto proto/axispb/v1/*.proto

.PHONY: system
system: prometheus  # openssl and git come with Debian; xmlsec1 signs packets for tests, by OpenSSL; chromium looks at the console; faketime sets clocks wrong; systemd judges its units
	@for tool in openssl git curl; do command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	command -v systemd-analyze >/dev/null || missing="$$missing systemd"; \
	command -v xmlsec1 >/dev/null || missing="$$missing xmlsec1 libxmlsec1-openssl"; \
	command -v chromium >/dev/null || missing="$$missing chromium"; \
	ls /usr/lib/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1 || missing="$$missing faketime"; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq $$missing; \
	  else echo "install first:$$missing" >&2; exit 2; fi; fi

.PHONY: prometheus
prometheus:  # scrapes nodes in tests; the service of its package, which would listen everywhere, is neither started nor enabled
	@command -v prometheus >/dev/null && command -v promtool >/dev/null && exit; \
	[ "$$(id -u)" = 0 ] || { echo "install first: prometheus" >&2; exit 2; }; \
	policy=/usr/sbin/policy-rc.d; \
	[ -e $$policy ] || { trap "rm -f $$policy" EXIT; printf '#!/bin/sh\nexit 101\n' >$$policy; chmod 755 $$policy; }; \
	apt-get update -qq && apt-get install -y -qq --no-install-recommends prometheus && \
	{ systemctl --quiet disable prometheus.service 2>/dev/null || true; }

clean:  ## Remove the environment and everything the demo made
	rm -rf .venv axis-demo wheels .compose
