"""The architecture's law, checked on what dbt itself has understood of the project."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dashboards import contract
from dbt_stocks import catalog, comparison, seeds
from tests.dbt_stocks import test_models
from tests.dbt_stocks.conftest import MARTS, Project
from tests.dbt_stocks.random_history import MARTS as HISTORIES

ROOT = Path(__file__).resolve().parents[2]
IN_A_JOIN = re.compile(r"\bjoin\s+\{\{\s*(ref|source)\(", re.IGNORECASE)
JOINED_SUBQUERY = re.compile(r"\bjoin\s*\(", re.IGNORECASE)
CONSUMERS = {"power_bi_stocks", "superset_markets", "market_page", "quant_research"}
MART_COLUMNS = {"build_id", "as_of", "source", "simulated", "is_final"}

Manifest = dict[str, Any]


@pytest.fixture(scope="module")
def in_a_shell(two_batches: Project) -> "subprocess.CompletedProcess[str]":
    """Run dbt as a person does, in the project's folder: its unit tests on the built warehouse."""
    target = str(two_batches.state / "shell")
    return subprocess.run(
        [str(Path(sys.executable).parent / "dbt"), "--no-use-colors", "test",
         "--select", "test_type:unit", "--target-path", target, "--log-path", target],
        cwd=ROOT / "dbt_stocks",
        env=os.environ | {"WAREHOUSE_PATH": str(two_batches.raw.path)},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def manifest(two_batches: Project, in_a_shell: "subprocess.CompletedProcess[str]") -> Manifest:
    del in_a_shell
    found: Manifest = json.loads((two_batches.state / "shell/manifest.json").read_text())
    return found


def models(manifest: Manifest, schema: str | None = None) -> list[dict[str, Any]]:
    return [
        node
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and schema in (None, node["schema"])
    ]


def attached_tests(manifest: Manifest, node: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        test
        for test in manifest["nodes"].values()
        if test["resource_type"] == "test" and test.get("attached_node") == node["unique_id"]
    ]


def test_every_model_has_a_tested_key(manifest: Manifest) -> None:
    without = []
    for model in [*models(manifest), *seeds_of(manifest)]:
        kinds = {test["test_metadata"]["name"] for test in attached_tests(manifest, model)}
        if not kinds & {"unique", "unique_combination"}:
            without.append(model["name"])

    assert without == []


def seeds_of(manifest: Manifest) -> list[dict[str, Any]]:
    return [n for n in manifest["nodes"].values() if n["resource_type"] == "seed"]


def test_every_mart_has_a_contract_and_the_columns_of_every_mart(manifest: Manifest) -> None:
    marts = models(manifest, "gold_candidate")

    assert {mart["name"] for mart in marts} == MARTS
    for mart in marts:
        assert mart["config"]["contract"]["enforced"], mart["name"]
        assert set(mart["columns"]) >= MART_COLUMNS, mart["name"]
        undescribed = [c["name"] for c in mart["columns"].values() if not c["description"]]
        assert undescribed == [], mart["name"]


def test_the_screens_contract_is_what_dbt_and_the_published_file_have(
    manifest: Manifest, two_batches: Project
) -> None:
    gold = contract.load().tables
    with duckdb.connect(two_batches.gold / "current", read_only=True) as db:
        published = catalog.columns(db, "gold")
        kinds = {name: kind for kind, name in catalog.relations(db, "gold")}

    for mart in models(manifest, "gold_candidate"):
        table = gold[mart["name"]]
        declared = {name: column["data_type"] for name, column in mart["columns"].items()}
        assert {c.name: c.type for c in table.columns.values()} == declared, table.name
        assert {name: c.type_in("duckdb") for name, c in table.columns.items()} == {
            column.name: column.data_type for column in published[table.name]
        }, table.name
    assert {name: table.kind for name, table in gold.items()} == kinds


def test_every_increment_is_compared_with_a_full_refresh(manifest: Manifest) -> None:
    compared = {relation.rpartition(".")[2] for relation in [*test_models.TABLES, *HISTORIES]}
    increments = {
        model["name"]
        for model in models(manifest)
        if model["config"]["materialized"] == "incremental"
    }

    assert increments - compared == set()


def test_every_description_states_the_grain(manifest: Manifest) -> None:
    described = [*models(manifest), *seeds_of(manifest), *manifest["sources"].values()]
    vague = [node["name"] for node in described if not node["description"].startswith("One row")]

    assert vague == []


def test_only_bronze_reads_sources(manifest: Manifest) -> None:
    readers = {
        model["schema"]
        for model in models(manifest)
        if any(parent.startswith("source.") for parent in model["depends_on"]["nodes"])
    }

    assert readers == {"bronze"}


def test_gold_reads_no_bronze_but_the_lake_s_metrics(manifest: Manifest) -> None:
    read = {
        parent.rpartition(".")[2]
        for mart in models(manifest, "gold_candidate")
        for parent in mart["depends_on"]["nodes"]
        if ".bronze_" in parent
    }

    assert read == {"bronze_daily_stock_metrics", "bronze_test_results"}


def test_joins_name_ctes_and_models_end_in_a_bare_select(manifest: Manifest) -> None:
    for model in models(manifest):
        code = model["raw_code"]
        assert not IN_A_JOIN.search(code), model["name"]
        assert not JOINED_SUBQUERY.search(code), model["name"]
        assert re.search(r"^select \* from \w+\s*\Z", code, re.MULTILINE), model["name"]


def test_every_source_has_freshness(manifest: Manifest) -> None:
    assert manifest["sources"]
    for source in manifest["sources"].values():
        assert source["freshness"]["warn_after"]["count"], source["name"]
        assert source["loaded_at_field"] == "loaded_at", source["name"]


def test_the_scorecard_counts_every_data_test(manifest: Manifest, two_batches: Project) -> None:
    wanted = [n["name"] for n in manifest["nodes"].values() if n["resource_type"] == "test"]
    counted = two_batches.raw.query(
        "select run_id, sum(checked), count(distinct dimension) from gold.gold_dq_scorecard "
        "group by run_id order by run_id"
    )

    assert len(wanted) > 50
    assert counted == [("first", len(wanted), 5), ("second", len(wanted), 5)]


def test_every_mart_is_exposed_and_nothing_else_is(manifest: Manifest) -> None:
    exposed = {
        exposure["name"]: set(exposure["depends_on"]["nodes"])
        for exposure in manifest["exposures"].values()
    }

    assert exposed.keys() == CONSUMERS
    assert set().union(*exposed.values()) == {f"model.dbt_stocks.{mart}" for mart in MARTS}


def test_every_exposure_says_what_it_is(manifest: Manifest) -> None:
    for exposure in manifest["exposures"].values():
        assert exposure["description"] and exposure["label"], exposure["name"]
        assert exposure["owner"]["name"], exposure["name"]


@pytest.mark.long
def test_the_documentation_is_one_file(two_batches: Project, tmp_path: Path) -> None:
    found = subprocess.run(
        [str(Path(sys.executable).parent / "dbt"), "--quiet", "docs", "generate", "--static",
         "--target-path", str(tmp_path), "--log-path", str(tmp_path)],
        cwd=ROOT / "dbt_stocks",
        env=os.environ | {"WAREHOUSE_PATH": str(two_batches.raw.path)},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip

    assert found.returncode == 0, found.stdout + found.stderr
    text = (tmp_path / "static_index.html").read_text()
    assert [name for name in {*MARTS, *CONSUMERS} if name not in text] == []


def test_row_bands_name_marts_that_there_are(manifest: Manifest) -> None:
    marts = {mart["name"] for mart in models(manifest, "gold_candidate")}

    assert comparison.bands().marts.keys() <= marts


def test_the_seeds_are_what_the_command_would_write() -> None:
    stale = [path.name for path, text in seeds.generate().items() if path.read_text() != text]

    assert stale == []


def test_dbt_s_unit_tests_pass_from_a_shell(
    in_a_shell: "subprocess.CompletedProcess[str]",
) -> None:
    assert in_a_shell.returncode == 0, in_a_shell.stdout
    assert re.search(r"PASS=(?:[7-9]|\d\d) WARN=0 ERROR=0", in_a_shell.stdout), in_a_shell.stdout
