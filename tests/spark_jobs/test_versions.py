"""Two versions of one message flow into one table; an unknown one waits among the rejects."""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
from pyspark.sql import SparkSession

from ingestion.contracts.topics import REALTIME
from spark_jobs.jobs import compact
from spark_jobs.model import MODEL
from spark_jobs.schemas import REJECTS, TRADES
from spark_jobs.transforms.shapes import shapes
from tests.spark_jobs.conftest import Lake, open_lake
from tests.spark_jobs.folder_bronze import value_line
from tests.spark_jobs.messages import trade
from tests.spark_jobs.versions import MODEL_V2, TradeDataV2, TradeMessageV2


def second(number: int, venue: str | None = "XNAS", **data: Any) -> dict[str, Any]:
    """A trade as the second version says it."""
    first = trade(number, **data)
    fields = {"px" if name == "price" else name: value for name, value in first["data"].items()}
    return first | {"schema": "trade.v2", "data": fields | {"venue": venue}}


def canonical(value: dict[str, Any]) -> bytes:
    fields = value["data"] | {"price": value["data"]["px"]}
    data = TradeDataV2(**{name: given for name, given in fields.items() if name != "px"})
    head = {name: given for name, given in value.items() if name not in ("schema", "data")}
    return msgspec.json.encode(TradeMessageV2(**head, data=data))


def with_v2(lake: Lake) -> Lake:
    return replace(lake, context=replace(lake.context, model=MODEL_V2))


def prices(lake: Lake) -> list[tuple[int, Decimal, str | None]]:
    rows = lake.rows(TRADES).select("seq", "price", "venue").orderBy("seq").collect()
    return [tuple(row) for row in rows]


def test_a_version_flows_in_beside_the_first_when_it_is_known(
    lake: Lake, root_session: SparkSession, tmp_path: Path
) -> None:
    early = second(2, price="2.5")
    sent = lake.send_trades([trade(0, price="1.5"), trade(1, price="1.6"), early])
    first = lake.compact()
    assert (first.written["trades"], first.rejected) == (2, {"unknown_schema": 1})
    assert json.loads(lake.rows(REJECTS).first()["raw"])["value"] == early
    assert "venue" not in lake.rows(TRADES).columns

    later = with_v2(lake)
    odd = second(4, price="4.5") | {"unknown": 1}
    new = [trade(5, price="5.5"), odd, second(1, None, price="1.6"), second(0, price="9")]
    sent = later.send_trades([canonical(second(3, price="3.5")), *new], start=sent)

    summary = later.compact()

    # What is said again in the new version is the same event; with other values it is a conflict.
    assert (summary.written["trades"], summary.rejected) == (3, {"duplicate": 1, "conflict": 1})
    known = [(0, Decimal("1.5"), None), (1, Decimal("1.6"), None)]
    new_rows = [(3, Decimal("3.5"), "XNAS"), (4, Decimal("4.5"), "XNAS"), (5, Decimal("5.5"), None)]
    assert prices(later) == known + new_rows

    # Two ways for what came too early: it is sent again, or the lake is made anew from bronze.
    later.send_trades([early], start=sent)
    assert later.compact().written["trades"] == 1
    anew = with_v2(open_lake(root_session, tmp_path / "anew", lake.bronze))
    anew.compact()
    assert prices(later) == prices(anew)
    assert prices(anew)[2] == (2, Decimal("2.5"), "XNAS")


def test_a_run_that_does_not_know_the_column_leaves_it_empty(lake: Lake) -> None:
    later = with_v2(lake)
    sent = later.send_trades([second(0)])
    later.compact()
    lake.send_trades([trade(1)], start=sent)

    assert compact.run(lake.context).written["trades"] == 1
    assert [row[2] for row in prices(later)] == ["XNAS", None]


def test_every_field_of_a_declared_version_has_a_column_and_a_shape() -> None:
    for model in (MODEL, MODEL_V2):
        for record, table in model.stored():
            columns = {field.column for field in (*model.envelope(record), *model.data(record))}
            assert columns - {"bar_session"} <= table.columns.keys()
    line = value_line(0, canonical(second(1))) + b"\n"
    known = shapes(MODEL_V2, REALTIME)
    assert [shape.schema for shape in known] == ["trade.v1", "trade.v2"]
    matches = [shape.matches(pa.array([line]))[0].as_py() for shape in known]
    assert matches == [False, True]
