"""What is wrong with a project's folder, whoever wrote it: each finding a line of file and object.

It reads the files alone, never the definition that they are generated from. The form of JSON files
is held against ``schemas/``, ours, closed, and of what the generator writes: Microsoft's
schemas are its source, and cannot be had without network.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from dashboards.contract import Contract
from dashboards.powerbi import check_model, check_report, tmdl_read
from dashboards.powerbi.check_model import ModelText
from dashboards.powerbi.check_report import ReportText
from dashboards.powerbi.finding import Finding
from dashboards.powerbi.project import VENDOR

_SCHEMAS: Final = Path(__file__).with_name("schemas")
_LONG: Final = 160
# By the end of a file's name, the schema that it has to have.
_FORMS: Final = {
    ".pbip": "pbip",
    ".pbir": "pbir",
    ".pbism": "pbism",
    ".platform": "platform",
    "/version.json": "version",
    "/report.json": "report",
    "/pages.json": "pages",
    "/page.json": "page",
    "/visual.json": "visual",
}


def findings(folder: Path, contract: Contract) -> list[Finding]:
    """Return everything that is wrong with a project, by file.

    A file of a wrong form ends the check there: what it says cannot be held against the others.
    """
    documents, found = _documents(folder)
    found += [finding for path, document in documents.items() for finding in _form(path, document)]
    nodes, unread = tmdl_read.read(folder, folder)
    found += unread
    if found:
        return sorted(set(found))
    model = ModelText(nodes)
    catalog = json.loads((VENDOR / "visuals.json").read_text(encoding="utf-8"))
    found += check_model.findings(model, contract)
    found += check_report.findings(ReportText(documents, catalog), model, contract)
    return sorted(set(found))


def _documents(folder: Path) -> tuple[dict[str, Any], list[Finding]]:
    documents: dict[str, Any] = {}
    found = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        is_json = path.suffix in (".json", ".pbip", ".pbir", ".pbism") or path.name == ".platform"
        if not path.is_file() or not is_json or ".pbi" in path.parent.parts:
            continue
        try:
            documents[name] = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            found.append(Finding(name, "file", f"expected JSON: {error}"))
    return documents, found


def _form(path: str, document: object) -> Iterator[Finding]:
    schema = next((form for ending, form in _FORMS.items() if path.endswith(ending)), None)
    if schema is None:
        return
    validator = Draft202012Validator({"$ref": f"tapehouse:{schema}"}, registry=_registry())
    for error in validator.iter_errors(document):
        where = "/".join(map(str, error.absolute_path)) or "file"
        # It begins with the value, which of a specification has two thousand characters.
        text = error.message
        yield Finding(path, where, text if len(text) < _LONG else f"{text[:40]} ... {text[-60:]}")


def _registry() -> Registry[Any]:
    contents = [json.loads(path.read_text(encoding="utf-8")) for path in _SCHEMAS.glob("*.json")]
    draft = "https://json-schema.org/draft/2020-12/schema"
    resources = [Resource.from_contents({"$schema": draft} | content) for content in contents]
    return Registry().with_resources(
        [(content["$id"], r) for content, r in zip(contents, resources, strict=True)]
    )
