"""JSON Schemas of the messages, generated from the records: the records are the source."""

import json
from pathlib import Path

import msgspec

from ingestion.contracts.records import MESSAGE_TYPES, schema_name

FOLDER = Path(__file__).parent / "schemas"


def schemas() -> dict[str, str]:
    """Return file name to text, one JSON Schema (2020-12) per message schema."""
    return {
        f"{schema_name(message_type)}.json": _document(message_type)
        for message_type in MESSAGE_TYPES
    }


def write(folder: Path = FOLDER) -> list[Path]:
    """Write the schemas and return their paths."""
    folder.mkdir(exist_ok=True)
    paths = []
    for name, text in schemas().items():
        path = folder / name
        path.write_text(text)
        paths.append(path)
    return paths


def drifted(folder: Path = FOLDER) -> list[str]:
    """Return the names of files that differ from what the records say, or should not be there."""
    expected = schemas()
    found = {path.name: path.read_text() for path in folder.glob("*.json")}
    names = expected.keys() | found.keys()
    return sorted(name for name in names if expected.get(name) != found.get(name))


def _document(message_type: type[msgspec.Struct]) -> str:
    body = msgspec.json.schema(message_type)
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": str(message_type.__struct_config__.tag),
        **body,
    }
    return json.dumps(document, indent=2, sort_keys=True) + "\n"
