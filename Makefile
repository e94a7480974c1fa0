# The commands people and CI use; `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
RUN := .venv/bin/python -m
ARGS ?=
PROVIDERS ?=
SEEDS ?= 1000
HISTORIES ?= 20
EMULATOR_PORT ?= 19443

.PHONY: help setup ready up down status reset demo stream test doctor simulate lint bench-pipeline audit lock audit-self-test bench-land bench-produce bench-anomalies bench-spark bench-dbt bench-airflow check-sp500 drill drill-publish drill-hour spark-cluster airflow superset test-superset test-cluster test-increments test-sp500 drill-lake drill-stream e2e-airflow screenshots docs snowflake-emulator snowflake-live bench-live prometheus powerbi dashboard dashboard-pictures bench-web

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z][a-z0-9-]*:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: ## Prepare this checkout: Python environment, jars, store, credentials (minutes once, then nothing)
	@$(PYTHON) infra/local/bootstrap.py

ready:
	@$(PYTHON) infra/local/bootstrap.py --quiet

up: ready ## Start the local stack: Kafka, object store, lander
	@$(RUN) infra.local up $(ARGS)

spark-cluster: ready ## Start a Spark master and two workers on this machine (ARGS=stop ends them)
	@$(RUN) infra.local cluster $(ARGS)

airflow: ready ## Start Airflow beside the stack: UI, scheduler, dag-processor, triggerer (ARGS=stop ends it)
	@$(RUN) infra.local airflow $(ARGS)

superset: ready ## Start Superset with the dashboards of dashboards/superset (ARGS=stop ends it; import, export: files and Superset)
	@$(RUN) infra.local superset $(ARGS)

prometheus: ready ## Start Prometheus and the exporter beside the stack: metrics, alerts (ARGS=stop ends them)
	@$(RUN) infra.local prometheus $(ARGS)

down: ready ## Stop the local stack; data stays
	@$(RUN) infra.local down

status: ready ## Show services and landers: health, memory, lag, rates; fails where one is unhealthy (ARGS="kafka store": these alone)
	@$(RUN) infra.local status $(ARGS)

reset: ready ## Stop the stack and delete its state in var/ (asks; ARGS=--yes does not); .env stays
	@$(RUN) infra.local reset $(ARGS)

demo: ready ## Recorded bars and simulated trades through every stage to tested gold; harmless when repeated (PROVIDERS=local: what local providers serve)
	@$(RUN) pipeline demo $(if $(PROVIDERS),--providers $(PROVIDERS)) $(ARGS)

stream: ready ## Follow the trades in Kafka: windows and minute bars while they form; Ctrl-C ends it (ARGS=--available-now)
	@$(RUN) spark_jobs stream $(ARGS)

dashboard: ready ## Serve the market page on http://127.0.0.1:8050: published gold, and live trades; Ctrl-C ends it (ARGS="--port 8051")
	@$(RUN) dashboards.web $(ARGS)

# A worker that dies ends the run: another in its place leaves the dead one's group undone, and waits.
# Three on two cores: tests of processes wait more than they compute.
test: ready ## Every test, with a Kafka, store, Spark and dbt of their own
	@$(RUN) pytest -n 3 --dist loadgroup --no-loadscope-reorder --max-worker-restart 0 $(ARGS)

test-long: ready ## What is too slow for `make test`: rows of the drills, both engines' gold compared row by row
	@$(RUN) pytest -m long -n 2 --dist loadgroup --no-loadscope-reorder --max-worker-restart 0 $(ARGS)

test-increments: ready ## Late corrections over random histories: increments against a full refresh (HISTORIES=20 seeds)
	@HISTORIES=$(HISTORIES) $(RUN) pytest tests/dbt_stocks/test_increments.py tests/dbt_stocks/test_market_increments.py tests/dbt_stocks/test_indicator_increments.py $(ARGS)

test-sp500: ready ## The daily marts' oracles on 1.74 M real daily bars too (../shared/data/sp500_daily.parquet, where it is)
	@SP500=1 $(RUN) pytest -s tests/dbt_stocks/test_daily_oracles.py tests/dbt_stocks/test_market.py tests/dbt_stocks/test_indicators.py $(ARGS)

test-cluster: ready ## The tests of jobs that a cluster could change, on a Spark cluster of their own
	@SPARK_TEST_CLUSTER=1 $(RUN) pytest -m cluster tests/spark_jobs $(ARGS)

test-superset: ready ## A real Superset on a gold of its own: import, export, every chart's rows against SQL, two roles
	@$(RUN) infra.local superset setup
	@$(RUN) pytest -m superset tests/dashboards/superset $(ARGS)

doctor: ready ## Probe the running object store: create-only races, listings, checksums, rights
	@$(RUN) ingestion doctor $(ARGS)

simulate: ready ## Landers in simulated worlds that fail, SEEDS=10000 of them; every step is judged
	@$(RUN) drill simulate --seeds $(SEEDS) $(ARGS)

drill: ready ## The fault matrix on real brokers, store and landers, audited; about an hour (ARGS="--row 5")
	@$(RUN) drill run $(ARGS)

drill-lake: ready ## The lake's jobs killed at each step, two at once, upkeep in between; compared and audited
	@$(RUN) drill lake $(ARGS)

e2e-airflow: ready ## Every DAG through the API of a running Airflow: broken, killed, backfilled, reconciled (ARGS="--scene minute")
	@$(RUN) drill airflow $(ARGS)

screenshots: ready ## The pictures of docs/images: a green and a failed batch run in Airflow, by Chromium (half an hour)
	@$(RUN) drill airflow --scene failing --pictures docs/images $(ARGS)

dashboard-pictures: ready ## The pictures of docs/images of the market page, of this checkout's gold, by Chromium
	@$(RUN) dashboards.web.pictures docs/images $(ARGS)

drill-stream: ready ## Every fault of the simulator at once, the stream killed; batch, stream and brute force compared
	@$(RUN) drill stream $(ARGS)

drill-publish: ready ## Gold published fifty times under readers, ten failing; publish and rollback killed at every step
	@$(RUN) drill publish $(ARGS)

drill-hour: ready ## A market hour of failing providers and killed producers; all that was handed out is in Kafka once
	@$(RUN) drill hour $(ARGS)

lint: ready ## Style and types: ruff, mypy, sqlfluff
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .
	@$(RUN) mypy
	@$(RUN) sqlfluff lint dbt_stocks

snowflake-emulator: ready ## A Snowflake for trying things, in memory; prints the settings to export; Ctrl-C ends it
	@$(RUN) tests.emulator --port $(EMULATOR_PORT) --home var/snowflake-emulator

snowflake-live: ready ## The whole way on a Snowflake account of yours, in a SCRATCH_ database that is dropped again (README, "Snowflake")
	@$(RUN) drill snowflake $(ARGS)

powerbi: ready ## Generate the Power BI project from gold's contract and check it (ARGS=--check writes nothing)
	@$(RUN) dashboards.powerbi generate $(ARGS)

# Without a warehouse the columns' types are those of the contracts alone.
docs: ready ## dbt's documentation, lineage included, as one file: var/docs/dbt/static_index.html
	@mkdir -p var/docs
	@cd dbt_stocks; if [[ ! -e ../var/warehouse/stocks_mds.duckdb ]]; then export WAREHOUSE_PATH=:memory:; fi; \
		../.venv/bin/dbt --quiet docs generate --static --target-path ../var/docs/dbt --log-path ../var/docs/dbt
	@echo var/docs/dbt/static_index.html

bench-pipeline: ready ## Time the batch job stage by stage, three runs, each on an empty stack of its own
	@$(RUN) benchmarks.pipeline $(ARGS)

bench-land: ready ## Time landing against reading alone, Kafka Connect, Spark and one object a message (ten minutes)
	@$(RUN) benchmarks.land $(ARGS)

bench-anomalies: ready ## Inject faults of known truth and print precision and recall of each anomaly rule
	@$(RUN) benchmarks.anomalies $(ARGS)

bench-produce: ready ## Time the simulator to Kafka against the client's bare loop on the same records
	@$(RUN) benchmarks.produce $(ARGS)

bench-spark: ready ## Time compaction against the same job in DuckDB and Polars, and one new object in a large lake
	@$(RUN) benchmarks.spark $(ARGS)

bench-dbt: ready ## Time dbt on 1.74 M real daily bars (where they are): full build with tests, one more session, against Polars
	@$(RUN) benchmarks.dbt $(ARGS)

bench-airflow: ready ## Time the batch DAG on 2,500 bars with Airflow's share, and the minute DAG from landed to published
	@$(RUN) benchmarks.airflow $(ARGS)

bench-web: ready ## Time the market page's first paint at 10,000 candles beside plain Plotly, and 20 readers during publishes
	@$(RUN) benchmarks.web $(ARGS)

bench-live: ready ## Time trades from produce to the screen of a headless Chromium, 1,000 a second
	@$(RUN) benchmarks.live_feed $(ARGS)

check-sp500: ready ## Real daily bars (../shared/data/sp500_daily.parquet, where it is) through the lake: every value the same
	@$(RUN) benchmarks.spark.sp500 $(ARGS)

audit: ready ## Reconcile every stage with every other; fails on any gap
	@$(RUN) audit $(ARGS)

audit-self-test: ready ## Plant six violations in what the audit reads; fails where one is not seen
	@$(RUN) audit --self-test $(ARGS)

lock: ready ## Compile requirements.txt from pyproject.toml
	@$(RUN) uv pip compile pyproject.toml --all-extras --universal --generate-hashes --python-version 3.11 -o requirements.txt
