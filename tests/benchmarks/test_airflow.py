"""Whose the seconds of a run are, on runs made up for it."""

import pytest

from benchmarks.airflow import spent
from benchmarks.airflow_share import Spent, p95, verdict

RUN = Spent(
    wall=100.0,
    tasks={
        "load": 10.0,
        "consume": 8.0,
        "dbt.models.gold.gold_kpi": 6.0,
        "dbt.models.gold.gold_movers": 4.0,
        "publish": 30.0,
        "complete": 0.0,
    },
    told={
        "load": 7.0,
        "dbt.models.gold.gold_kpi": 1.0,
        "dbt.models.gold.gold_movers": 0.5,
        "publish": 26.0,
    },
)


def test_airflow_has_what_no_command_and_no_node_took() -> None:
    assert RUN.airflow() == 100 - (7 + 1 + 0.5 + 26)
    assert RUN.share() == pytest.approx(65.5)


def test_its_seconds_are_overheads_silent_tasks_and_what_lies_between() -> None:
    assert RUN.overheads() == [3.0, 5.0, 3.5, 4.0]
    assert (RUN.silent(), RUN.between()) == (8.0, 42.0)
    assert sum(RUN.overheads()) + RUN.silent() + RUN.between() == RUN.airflow()


def test_nodes_and_the_rest_are_the_whole_run() -> None:
    assert RUN.nodes() == [6.0, 4.0]
    assert sum(RUN.nodes()) + RUN.rest() == RUN.wall


def test_the_rows_of_runs_have_medians_aims_and_verdicts() -> None:
    slow = RUN._replace(tasks={**RUN.tasks, "publish": 36.0, "dbt.models.gold.gold_kpi": 8.0})
    rows = {row["what"].strip(): row for row in spent([RUN, slow, slow])}

    assert rows["overhead of a task, median"]["runs"] == [3.75, 5.25, 5.25]
    assert rows["overhead of a task, greatest"]["runs"] == [5.0, 10.0, 10.0]
    assert rows["Airflow's share, %"]["median"] == 65.5
    node, rest = rows["a dbt node's task, mean"], rows["batch run without dbt nodes' tasks"]
    assert (node["median"], node["aim"], node["verdict"]) == (6.0, 5.0, "missed")
    assert (rest["median"], rest["aim"], rest["verdict"]) == (88.0, 60.0, "missed")
    assert rows["batch run, wall"]["verdict"] == ""


def test_an_aim_is_met_up_to_its_figure() -> None:
    assert [verdict(found, 60.0) for found in (59.9, 60.0, 60.01)] == ["met", "met", "missed"]
    assert verdict(1.0, None) == ""


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([7.0], 7.0),
        ([1.0, 2.0, 3.0, 4.0], 4.0),
        ([float(n) for n in range(20, 0, -1)], 19.0),
        ([float(n) for n in range(1, 101)], 95.0),
    ],
)
def test_the_95th_percentile_is_one_of_the_values(values: list[float], found: float) -> None:
    assert p95(values) == found
