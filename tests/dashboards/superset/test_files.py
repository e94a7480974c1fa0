"""The files of Superset's dashboards, held against each other and against gold's contract."""

import copy
import dataclasses
import re
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from dashboards.contract import Contract, load
from dashboards.panels import broken_uses
from dashboards.superset.panels import PANELS
from infra.superset import bundle, rules
from tests.dashboards.superset import gold

FILES = bundle.read()


def of_kind(kind: str) -> dict[str, bundle.Document]:
    return {path: one for path, one in FILES.items() if path.startswith(f"{kind}/")}


DATASETS = {one["uuid"]: one for one in of_kind("datasets").values()}
CHARTS = {one["uuid"]: one for one in of_kind("charts").values()}


@pytest.fixture(scope="module")
def db() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        gold.create(connection, load())
        yield connection


def tiles(dashboard: bundle.Document) -> list[dict[str, Any]]:
    parts = dashboard["position"].values()
    return [one["meta"] for one in parts if isinstance(one, dict) and one["type"] == "CHART"]


def test_every_asset_is_the_one_of_its_file() -> None:
    assert {kind: len(of_kind(kind)) for kind in bundle.KINDS} == {
        "databases": 1, "datasets": 12, "charts": 21, "dashboards": 2,
    }  # fmt: skip
    for path, document in FILES.items():
        assert document["uuid"] == bundle.identity(path), path


def test_files_are_written_as_superset_exports_them() -> None:
    for path, document in FILES.items():
        assert (bundle.FOLDER / path).read_text() == bundle.text(document), path
    assert bundle.normalised(FILES, FILES) == FILES


def test_everything_that_is_referred_to_is_there() -> None:
    databases = {one["uuid"] for one in of_kind("databases").values()}
    assert {one["database_uuid"] for one in DATASETS.values()} == databases
    assert {one["dataset_uuid"] for one in CHARTS.values()} == set(DATASETS)
    shown = [tile for one in of_kind("dashboards").values() for tile in tiles(one)]
    assert sorted(tile["uuid"] for tile in shown) == sorted(CHARTS), "each chart is shown once"
    for tile in shown:
        assert tile["sliceName"] == CHARTS[tile["uuid"]]["slice_name"]


def test_rows_of_a_dashboard_are_full_and_no_wider() -> None:
    for dashboard in of_kind("dashboards").values():
        position = dashboard["position"]
        for row in (
            one for one in position.values() if isinstance(one, dict) and one["type"] == "ROW"
        ):
            assert sum(position[name]["meta"]["width"] for name in row["children"]) == 12


def test_filters_choose_by_columns_that_the_charts_in_their_scope_have() -> None:
    for dashboard in of_kind("dashboards").values():
        for one in dashboard["metadata"]["native_filter_configuration"]:
            scope = [t for t in tiles(dashboard) if t["chartId"] not in one["scope"]["excluded"]]
            assert scope, one["name"]
            for target in one["targets"]:
                if column := target.get("column", {}).get("name"):
                    assert column in names(DATASETS[target["datasetUuid"]])
                    for tile in scope:
                        dataset = DATASETS[CHARTS[tile["uuid"]]["dataset_uuid"]]
                        assert column in names(dataset), (one["name"], tile["sliceName"])


def names(dataset: bundle.Document) -> set[str]:
    return {column["column_name"] for column in dataset["columns"]}


@pytest.mark.parametrize("uuid", DATASETS, ids=lambda uuid: str(DATASETS[uuid]["table_name"]))
def test_a_dataset_has_the_columns_and_types_of_its_query(
    uuid: str, db: duckdb.DuckDBPyConnection
) -> None:
    dataset = DATASETS[uuid]
    found = {row[0]: row[1] for row in db.execute(f"describe {dataset['sql']}").fetchall()}
    assert {one["column_name"]: one["type"] for one in dataset["columns"]} == found
    for column in dataset["columns"]:
        assert column["is_dttm"] == (column["type"] in ("DATE", "TIMESTAMP"))
    assert dataset["main_dttm_col"] in found


@pytest.mark.parametrize("uuid", CHARTS, ids=lambda uuid: str(CHARTS[uuid]["slice_name"]))
def test_a_chart_asks_for_what_its_dataset_has(uuid: str, db: duckdb.DuckDBPyConnection) -> None:
    for query in queries(CHARTS[uuid]):
        db.execute(f"explain {query}")


def queries(chart: bundle.Document) -> Iterator[str]:
    """Return the SQL that a chart comes down to; Superset's own adds only how it is written."""
    dataset, params = DATASETS[chart["dataset_uuid"]], chart["params"]
    metrics = {one["metric_name"]: one["expression"] for one in dataset["metrics"]}
    for suffix in ("", "_b") if "metrics_b" in params else ("",):
        groups = [params.get("x_axis"), *_list(params.get(f"groupby{suffix}"))]
        columns = [*filter(None, groups), *params.get("all_columns", [])]
        used = [*_list(params.get(f"metrics{suffix}")), *_list(params.get("metric"))]
        chosen = [*(f'"{name}"' for name in columns), *(metrics[name] for name in used)]
        where = " and ".join(condition(one) for one in params[f"adhoc_filters{suffix}"]) or "true"
        grouped = f"group by {', '.join(map(str, columns))}" if columns and used else ""
        yield f"select {', '.join(chosen)} from ({dataset['sql']}) where {where} {grouped}"
        if limit := params.get("timeseries_limit_metric"):
            assert limit in metrics


def _list(value: str | list[str] | None) -> list[str]:
    return value if isinstance(value, list) else [value] if value else []


def condition(one: dict[str, str]) -> str:
    if one["expressionType"] == "SQL":
        return one["sqlExpression"]
    assert one["operator"] == "TEMPORAL_RANGE"
    return f"{one['subject']} is not null"


def test_simulated_rows_are_left_out_or_marked() -> None:
    for dataset in DATASETS.values():
        if dataset["table_name"] == "dq_scorecard":
            continue  # about tests, of which none is simulated
        marked = "data_kind" in names(dataset)
        from_gold = len(re.findall(r"from gold\.", dataset["sql"]))
        left_out = dataset["sql"].count("where not simulated") == from_gold
        assert marked != left_out, dataset["table_name"]
    for chart in CHARTS.values():
        shown = {*chart["params"].get("all_columns", []), *_list(chart["params"].get("groupby"))}
        if "data_kind" in names(DATASETS[chart["dataset_uuid"]]) and shown:
            assert "data_kind" in shown, chart["slice_name"]


def test_what_cannot_be_added_goes_blank() -> None:
    """A sum is of counts, or of one instrument or session and blank over several."""
    contract = load()
    for dataset in DATASETS.values():
        for metric in dataset["metrics"]:
            for column in re.findall(r"sum\((\w+)\)", metric["expression"]):
                table = next(t for t in contract.tables.values() if column in t.columns)
                guarded = metric["expression"].startswith("case when min(")
                assert guarded or table.columns[column].is_additive, (metric, column)


def test_a_session_that_is_open_ages_a_feed_since_the_build() -> None:
    (freshness,) = (one["sql"] for one in DATASETS.values() if one["table_name"] == "freshness")
    with duckdb.connect() as db:
        gold.create(db, load())
        db.execute(
            "insert into gold.dim_session by name select"
            " now() at time zone 'UTC' + hours * interval '1 hour' as open_at,"
            " open_at + interval '4 hours' as close_at"
            " from (values (-26), (-2), (22)) as t(hours)"
        )
        db.execute(
            "insert into gold.gold_freshness by name select 'yahoo' as source, 'quotes' as feed,"
            " 'ok' as status, false as simulated,"
            " now() at time zone 'UTC' - interval '1 hour' as checked_at"
        )
        found = db.execute(f"select sessions_since, open_s_since from ({freshness})").fetchall()
    [(sessions, seconds)] = found
    assert sessions == 0
    assert 3600 <= seconds < 3660


def test_a_column_renamed_in_gold_names_the_broken_charts() -> None:
    contract = load()
    movers = contract.table("gold_movers")
    columns = {k: v for k, v in movers.columns.items() if k != "return_1d"}
    renamed = dataclasses.replace(
        contract,
        tables={**contract.tables, "gold_movers": dataclasses.replace(movers, columns=columns)},
    )
    assert not broken_uses(PANELS, contract)
    assert broken_uses(PANELS, renamed) == [
        "panel Movers of the latest session uses gold_movers.return_1d, which gold does not have"
    ]
    with duckdb.connect() as db, pytest.raises(duckdb.BinderException, match="return_1d"):
        gold.create(db, _renamed(contract))
        db.execute(next(one["sql"] for one in DATASETS.values() if one["table_name"] == "movers"))


def _renamed(contract: Contract) -> Contract:
    movers = contract.table("gold_movers")
    columns = {
        "return_of_a_day" if name == "return_1d" else name: dataclasses.replace(
            column, name="return_of_a_day" if name == "return_1d" else name
        )
        for name, column in movers.columns.items()
    }
    changed = dataclasses.replace(movers, columns=columns)
    return dataclasses.replace(contract, tables={**contract.tables, "gold_movers": changed})


def test_every_dataset_has_a_rule_that_holds_for_it(db: duckdb.DuckDBPyConnection) -> None:
    ruled = set()
    for dataset in DATASETS.values():
        key = rules.columns_of(dataset["table_name"], names(dataset))
        if key is None:
            continue
        ruled.add(key)
        clause = rules.CLAUSES[key].format(sector="Information Technology")
        db.execute(f"select * from ({dataset['sql']}) where {clause}")
    assert ruled == set(rules.CLAUSES)


def test_a_dataset_without_a_rule_is_refused() -> None:
    with pytest.raises(ValueError, match="dataset prices: expected columns"):
        rules.columns_of("prices", ["symbol", "close_price"])


def test_an_export_of_another_superset_becomes_these_files() -> None:
    exported = {}
    for number, (path, one) in enumerate(FILES.items(), 40):
        document = copy.deepcopy(one)
        if path.startswith("charts/"):
            document["params"] |= {"datasource": "7__table", "slice_id": number}
        exported[path.replace(".yaml", f"_{number}.yaml")] = document
    ids = {one["uuid"]: 900 - number for number, one in enumerate(CHARTS.values())}
    for one in exported.values():
        if "position" in one:
            old = {tile["chartId"]: ids[tile["uuid"]] for tile in tiles(one)}
            for tile in tiles(one):
                tile["chartId"] = ids[tile["uuid"]]
            for chosen in one["metadata"]["native_filter_configuration"]:
                chosen["scope"]["excluded"] = [old[n] for n in chosen["scope"]["excluded"]]
                chosen["chartsInScope"] = [1, 2]
    assert bundle.normalised(exported, FILES) == FILES


def test_a_new_chart_gets_a_file_of_its_name() -> None:
    new = {**next(iter(CHARTS.values())), "uuid": "0" * 8, "slice_name": "Gaps"}
    exported = {**FILES, "charts/Gaps_77.yaml": new}
    assert "charts/gaps.yaml" in bundle.normalised(exported, FILES)
