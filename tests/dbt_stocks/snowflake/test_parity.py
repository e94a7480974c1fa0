"""One project, two engines: what it builds in Snowflake's emulator is what it builds in DuckDB."""

import sys
from collections import Counter
from datetime import UTC
from decimal import Decimal

import pytest

from tests.dbt_stocks.conftest import MARTS
from tests.dbt_stocks.raw import at
from tests.dbt_stocks.snowflake.engines import Engines, differences

# Text of JSON: the engines order an object's keys and space them each in their own way.
JSON_TEXTS = {"raw", "payload_hash", "data_text"}


@pytest.mark.long
def test_everything_is_built_and_every_test_passes(both_engines: Engines) -> None:
    for build in ("first", "second"):
        found = Counter(
            (result["unique_id"].partition(".")[0], result["status"])
            for result in both_engines.results(build)
        )
        sys.stdout.write(f"{build}: {dict(found)}\n")

        # An exposure is in the build, and nothing is done about it.
        found.pop(("exposure", "no-op"))
        assert {status for _, status in found} <= {"success", "pass", "warn"}
        assert found["model", "success"] > 50
    assert found["test", "pass"] > 150 and found["unit_test", "pass"] > 50


@pytest.mark.long
def test_the_second_build_is_made_of_increments(both_engines: Engines) -> None:
    with both_engines.connection.cursor() as cursor:
        cursor.execute("select distinct build_id from gold_candidate.daily_stock_metrics")
        builds = {row[0] for row in cursor.fetchall()}

    assert builds == {"first", "second"}


@pytest.mark.long
def test_every_mart_has_the_same_rows(both_engines: Engines) -> None:
    problems: dict[str, list[str]] = {}
    values: dict[str, int] = {}
    for mart, key in both_engines.marts().items():
        expected, found = both_engines.rows(f"gold_candidate.{mart}")
        different, values[mart] = differences(expected, found, key)
        if different:
            problems[mart] = different[:10]
    sys.stdout.write(f"values compared: {values}\n")

    assert problems == {}
    assert values.keys() == MARTS and all(values.values())


@pytest.mark.long
def test_every_verdict_is_the_same(both_engines: Engines) -> None:
    """Silver and quarantine too: a mart that happens to agree proves less."""
    record = ["record_id"]
    revision = ["relation_name", "symbol", "source", "session_date", "subject", "revision"]
    for relation, key in {
        "verdicts.silver_bars_judged": record,
        "verdicts.silver_quotes_judged": record,
        "verdicts.silver_corporate_actions_judged": record,
        "quarantine.quarantine_quotes": record,
        "quarantine.quarantine_bars": record,
        "quarantine.quarantine_lake_metrics": revision,
    }.items():
        expected, found = (
            [{name: value for name, value in row.items() if name not in JSON_TEXTS} for row in rows]
            for rows in both_engines.rows(relation)
        )

        assert differences(expected, found, key)[0] == [], relation


NOON = at(2013, 3, 1, 12)
ROW = {"symbol": "A", "price": Decimal("1.500000"), "value": 1.0, "at": NOON, "n": 2}


@pytest.mark.parametrize(
    "change",
    [
        {"price": Decimal("1.500001")},
        {"price": 1.5},
        {"price": None},
        {"value": 1.000000002},
        {"at": NOON.replace(tzinfo=UTC)},
        {"n": True},
        {"symbol": "B"},
        {"more": 1},
    ],
    ids=str,
)
def test_a_difference_is_seen(change: dict[str, object]) -> None:
    assert differences([ROW], [ROW | {"value": 1.0000000005}], ["symbol"]) == ([], 5)
    assert differences([ROW], [ROW | change], ["symbol"])[0] != []
