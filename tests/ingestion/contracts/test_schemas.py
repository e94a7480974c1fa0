"""The generated JSON Schemas say what our own decoder says, so that others can rely on them."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from jsonschema import Draft202012Validator

from ingestion import cli
from ingestion.contracts import envelope, generate
from ingestion.contracts.records import MESSAGE_TYPES, Message, schema_name
from ingestion.errors import ContractError
from tests.ingestion.contracts.samples import DATA, messages, sample

VALIDATORS = {
    schema_name(kind): Draft202012Validator(
        json.loads((generate.FOLDER / f"{schema_name(kind)}.json").read_text())
    )
    for kind in MESSAGE_TYPES
}
BROKEN: list[tuple[str, dict[str, Any]]] = [
    ("quote.v1", {"symbol": "AAPL\n"}),
    ("quote.v1", {"symbol": None}),
    ("quote.v1", {"event_id": "C78AB5AB-215D-5CE0-A5DF-68A59D47F625"}),
    ("quote.v1", {"simulated": "false"}),
    ("quote.v1", {"run_id": ""}),
    ("quote.v1", {"run_id": "r" * 65}),
    ("quote.v1", {"data": []}),
    ("quote.v1", {"event_time": "2013-03-01 14:30:00Z"}),
    ("quote.v1", {"event_time": "2013-03-01T14:30:00+00:00"}),
    ("quote.v1", {"fetched_at": "2013-03-01T14:30:00.1234567Z"}),
    ("quote.v1", {"schema": "bar.v1"}),
    ("bar.v1", {"data": {"open": 27.95}}),
    ("bar.v1", {"data": {"close": "1e3"}}),
    ("bar.v1", {"data": {"volume": "1\n"}}),
    ("bar.v1", {"data": {"adjustment": "none"}}),
    ("bar.v1", {"data": {"currency": "usd"}}),
    ("bar.v1", {"data": {"interval": "d"}}),
    ("bar.v1", {"data": {"session_date": "2013-03-01\n"}}),
    ("corporate_action.v1", {"data": {"type": "merger"}}),
    ("corporate_action.v1", {"data": {"ratio": "two"}}),
    ("trade.v1", {"data": {"price": None}}),
    ("trade.v1", {"data": {"seq": "1"}}),
    ("trade.v1", {"data": {"conditions": None}}),
    ("trade.v1", {"data": {"conditions": [1]}}),
    ("trade.v1", {"data": {"action": "undo"}}),
    ("trade.v1", {"data": {"ref": "x"}}),
]


def accepted(document: dict[str, Any]) -> bool:
    try:
        envelope.decode(json.dumps(document).encode())
    except ContractError:
        return False
    return True


def changed(schema: str, changes: dict[str, Any]) -> dict[str, Any]:
    inner = changes.get("data")
    if isinstance(inner, dict):
        changes = {**changes, "data": DATA[schema] | inner}
    return sample(schema) | changes


@given(messages)
def test_both_accept_what_we_write(message: Message) -> None:
    document = json.loads(envelope.encode(message))

    VALIDATORS[schema_name(type(message))].validate(document)


@pytest.mark.parametrize(("schema", "changes"), BROKEN)
def test_both_refuse_what_is_broken(schema: str, changes: dict[str, Any]) -> None:
    document = changed(schema, changes)

    assert not VALIDATORS[schema].is_valid(document)
    # Another schema's name makes it that schema's business; its data then does not fit.
    assert not accepted(document)


@pytest.mark.parametrize("schema", DATA)
def test_both_need_every_field(schema: str) -> None:
    for field in sample(schema):
        document = {k: v for k, v in sample(schema).items() if k != field}
        assert not VALIDATORS[schema].is_valid(document), field
        assert not accepted(document), field


@pytest.mark.parametrize("schema", DATA)
def test_both_agree_on_every_missing_field_of_the_data(schema: str) -> None:
    for field in DATA[schema]:
        data = {k: v for k, v in DATA[schema].items() if k != field}
        document = sample(schema) | {"data": data}
        assert VALIDATORS[schema].is_valid(document) == accepted(document), field


def test_the_schemas_are_up_to_date() -> None:
    assert generate.drifted() == []


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    return Path(shutil.copytree(generate.FOLDER, tmp_path / "schemas"))


def check(folder: Path) -> None:
    cli.run("contracts", ["--check", "--folder", str(folder)], "test")


@pytest.mark.parametrize("fault", ["changed", "missing", "left over"])
def test_the_check_fails_on_drift_and_writing_mends_it(
    copies: Path, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    drift(copies, fault)

    with pytest.raises(SystemExit) as ended:
        check(copies)
    assert ended.value.code == 1
    name = "old.v0.json" if fault == "left over" else "bar.v1.json"
    assert name in capsys.readouterr().err


def drift(folder: Path, fault: str) -> None:
    bar = folder / "bar.v1.json"
    if fault == "changed":
        bar.write_text(bar.read_text().replace('"open"', '"opening"'))
    elif fault == "missing":
        bar.unlink()
    else:
        shutil.copy(bar, folder / "old.v0.json")


def test_writing_brings_the_schemas_up_to_date(copies: Path) -> None:
    drift(copies, "changed")

    generate.write(copies)

    assert generate.drifted(copies) == []
