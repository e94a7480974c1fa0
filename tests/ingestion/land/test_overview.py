"""The landers by partition: what they tell, set against what Kafka holds."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ingestion.errors import BrokerError
from ingestion.land import health, status
from ingestion.land.backlog import Offsets
from ingestion.land.overview import Overview, look
from ingestion.land.protocol import Lost, Partition, PutOutcome
from ingestion.land.table import show
from tests.ingestion.land.test_status import Told
from tests.ingestion.land.world import P0, P1

OTHER = Partition("stock-market-dlq", 0)
DEAD_PID = 2**22 + 1  # beyond Linux's largest process id


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path)


def seen(told: Told, offsets: Mapping[Partition, Offsets] | None = None) -> Overview:
    """Look at the landers; Kafka does not answer where no offsets are given."""

    def ask() -> Mapping[Partition, Offsets]:
        if offsets is None:
            raise BrokerError("Kafka: refused")
        return offsets

    return look(told.folder, told.clock, ask)


def text(overview: Overview) -> str:
    out = Console(width=200)
    with out.capture() as captured:
        show(overview, out)
    return captured.get()


def write_other(told: Told, name: str, **facts: Any) -> None:
    """Have a second lander tell what the first one does, with other facts."""
    (first,) = (d for d in status.documents(told.folder) if d["name"] == "x")
    file = status.path(told.folder, name)
    file.write_text(json.dumps({**first, "name": name, **facts}))


def test_kafkas_end_counts_where_the_lander_has_not_seen_it_yet(told: Told) -> None:
    told.write({P0: 3})
    found = seen(told, {P0: Offsets(9, 0), P1: Offsets(0, 0)})
    assert [(row.place, row.log_end, row.lag) for row in found.partitions] == [
        (P0, 9, 9),
        (P1, 0, 0),
    ]
    assert (found.totals.lag, found.totals.buffered_records) == (9, 3)
    assert found.problems == ()


def test_a_partition_that_nobody_has_is_shown_with_its_lag(told: Told) -> None:
    told.write({P0: 3})
    found = seen(told, {P0: Offsets(3, 0), P1: Offsets(0, 0), OTHER: Offsets(12, 5)})
    (row,) = [row for row in found.partitions if row.lander is None]
    assert (row.place, row.phase, row.landed, row.lag) == (OTHER, "unowned", 5, 7)
    assert found.totals.lag == 7 + 3
    assert found.problems == (), "it may be between two owners"


def test_records_that_wait_while_a_lander_is_given_nothing_are_a_problem(told: Told) -> None:
    told.lander.tell(Lost((P0, P1)))
    told.write()
    waiting, none = {P0: Offsets(12, 5), P1: Offsets(3, 3)}, {P0: Offsets(12, 12)}

    told.clock.sleep(59.0)
    told.write()
    assert seen(told, waiting).problems == (), "it may be between two owners"

    told.clock.sleep(2.0)
    told.write()
    assert seen(told, waiting).problems == (
        f"lander x (process {os.getpid()}) has had no partition since 2026-03-02T14:30:00Z, "
        "and 7 offsets wait in partitions that no lander here has",
    )
    assert seen(told, none).problems == (), "there are more landers than partitions"

    told.lander.now = told.clock.monotonic()
    told.lander.assign(P0)
    told.write()
    assert seen(told, {P1: Offsets(3, 0)}).problems == ()


def test_records_that_wait_while_no_lander_runs_are_a_problem(told: Told) -> None:
    found = seen(told, {OTHER: Offsets(12, 5)})
    assert found.problems == ("no lander runs here, and 7 offsets are not in bronze",)
    assert seen(told, {OTHER: Offsets(12, 12)}).problems == ()


def test_where_kafka_does_not_answer_the_landers_are_shown_all_the_same(told: Told) -> None:
    told.write({P0: 5})
    found = seen(told)
    assert [(row.place, row.lag) for row in found.partitions] == [(P0, 5), (P1, None)]
    (problem,) = found.problems
    assert problem.startswith("Kafka does not answer")
    assert problem.endswith("Kafka: refused")


def test_a_lander_that_fails_or_is_silent_is_a_problem_and_named(told: Told) -> None:
    told.wait(2.0)
    told.lander.answer(PutOutcome.REFUSED)
    told.write({P0: 3})
    failing = seen(told, {})
    pid = os.getpid()
    said = "not writing since 2026-03-02T14:30:02Z: stock-quotes/0: scripted"
    assert failing.problems == (f"lander x (process {pid}) is {said}",)
    assert "failing" in text(failing)

    told.lander.settle()
    told.write({P0: 3})
    told.clock.sleep(health.SILENT_S + 1)
    silent = seen(told, {})
    assert silent.problems == (f"lander x (process {pid}) is silent since 2026-03-02T14:30:02Z",)
    assert "silent" in text(silent)


def test_a_partition_that_two_landers_tell_of_lags_by_the_smaller(told: Told) -> None:
    told.write({P0: 5})
    (first,) = status.documents(told.folder)
    rows = [{**row, "landed": 4} for row in first["partitions"] if row["partition"] == 0]
    write_other(told, "y", partitions=rows)
    found = seen(told, {P0: Offsets(5, 4), P1: Offsets(0, 0)})
    assert [(row.lander, row.lag) for row in found.partitions] == [("x", 5), ("y", 1), ("x", 0)]
    assert found.totals.lag == 1


def test_a_lander_that_died_is_told_with_what_it_held(told: Told) -> None:
    told.write({P0: 3})
    write_other(told, "y", pid=DEAD_PID, state="stopped")
    write_other(told, "x", pid=DEAD_PID)
    found = seen(told, {P0: Offsets(3, 0)})
    assert (found.landers, found.dead) == ((), {"x": 3})
    assert "lander x died; 3 records that it held are read again" in text(found)


def test_what_a_store_says_cannot_write_to_the_terminal(told: Told) -> None:
    told.write({P0: 3})
    (first,) = status.documents(told.folder)
    hostile = "\x1b[2J[red]no[/red]\nlander y is fine"
    rows = [{**row, "error": hostile} for row in first["partitions"]]
    write_other(told, "x", error=hostile, failing_since=first["updated_at"], partitions=rows)
    shown = text(seen(told, {}))
    assert "\x1b[2J" not in shown
    assert "\nlander y is fine" not in shown
    assert "[red]no[/red]" in shown


def test_the_whole_is_plain_json(told: Told) -> None:
    told.write({P0: 3})
    found = json.loads(json.dumps(asdict(seen(told, {P0: Offsets(3, 0)}))))
    assert found["landers"][0]["name"] == "x"
    assert [row["lag"] for row in found["partitions"]] == [3, None]
