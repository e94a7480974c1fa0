"""Dashboards as files: Superset's own export format, without what differs from one to the next.

Needs PyYAML alone: what checks the files runs without Superset. An asset's identity is made of its
path, so that a file means the same asset in every Superset.
"""

import copy
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

Document = dict[str, Any]
Bundle = dict[str, Document]
"""Path below the bundle's folder to the document; ``metadata.yaml`` is not among them."""

FOLDER = Path(__file__).resolve().parents[2] / "dashboards" / "superset"
KINDS = ("databases", "datasets", "charts", "dashboards")
METADATA = {"version": "1.0.0", "type": "assets"}
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "superset.tapehouse.invalid")

# Numbers of one Superset, and what its pages compute again whenever they are shown.
_CHART_STATE = ("datasource", "slice_id", "dashboards", "url_params")
_DASHBOARD_STATE = (
    "chart_configuration", "global_chart_configuration", "map_label_colors", "shared_label_colors",
    "label_colors", "color_scheme_domain", "import_time",
)  # fmt: skip
_FILTER_STATE = ("chartsInScope", "tabsInScope")


def identity(path: str) -> str:
    """Return the UUID of the asset in a file of the bundle."""
    return str(uuid.uuid5(_NAMESPACE, path))


def read(folder: Path = FOLDER) -> Bundle:
    """Return every document of a bundle, by its path."""
    paths = sorted(path for kind in KINDS for path in (folder / kind).rglob("*.yaml"))
    return {str(path.relative_to(folder)): yaml.safe_load(path.read_text()) for path in paths}


def write(bundle: Bundle, folder: Path = FOLDER) -> list[str]:
    """Make a folder hold these documents and no other; return the paths that changed."""
    texts = {path: text(document) for path, document in bundle.items()}
    texts["metadata.yaml"] = text(METADATA)
    there = {
        str(path.relative_to(folder)) for kind in KINDS for path in folder.glob(f"{kind}/**/*.yaml")
    }
    for path in there - set(texts):
        (folder / path).unlink()
    changed = {path for path in texts if not _holds(folder / path, texts[path])}
    for path in changed:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(texts[path])
    return sorted(changed | (there - set(texts)))


def _holds(path: Path, content: str) -> bool:
    return path.is_file() and path.read_text() == content


def text(document: Mapping[str, Any]) -> str:
    """Return a document as YAML, with SQL and other long texts as people write them."""
    found: str = yaml.dump(
        dict(document), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120
    )
    return found


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as such, and nothing by reference."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _represent(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, "|" if "\n" in value else None)


_Dumper.add_representer(str, _represent)


def normalised(exported: Bundle, files: Bundle) -> Bundle:
    """Return an export of some Superset as files: same asset, same path, same text.

    An asset that the files have keeps its path; a new one gets one that its name makes.
    """
    paths = {document["uuid"]: path for path, document in files.items()}
    names = {
        document["uuid"]: paths.get(document["uuid"], _new_path(path, document))
        for path, document in exported.items()
    }
    numbers = {
        one: number
        for number, one in enumerate(sorted(names, key=lambda one: names[one]), 1)
        if names[one].startswith("charts/")
    }
    return {
        names[document["uuid"]]: _clean(document, numbers)
        for document in sorted(exported.values(), key=lambda one: names[one["uuid"]])
    }


def _new_path(path: str, document: Document) -> str:
    """Return a path without the number that Superset puts at its name's end."""
    folder, _, name = path.removesuffix(".yaml").rpartition("/")
    stem, _, number = name.rpartition("_")
    numbered = number.isdigit() and not path.startswith("databases/")
    return f"{folder}/{(stem if numbered else name).lower()}.yaml"


def _clean(document: Document, numbers: Mapping[str, int]) -> Document:
    found = copy.deepcopy(document)
    if "slice_name" in found:
        found["params"] = {k: v for k, v in found["params"].items() if k not in _CHART_STATE}
        found["query_context"] = None  # the page makes it from the parameters
    elif "position" in found:
        _clean_dashboard(found, numbers)
    elif "columns" in found:
        found["columns"].sort(key=lambda one: str(one["column_name"]))
        found["metrics"].sort(key=lambda one: str(one["metric_name"]))
    elif "sqlalchemy_uri" in found:
        found["sqlalchemy_uri"] = "duckdb:///gold"
    return found


def _clean_dashboard(found: Document, numbers: Mapping[str, int]) -> None:
    renumbered: dict[int, int] = {}
    for part in found["position"].values():
        if isinstance(part, dict) and part.get("type") == "CHART":
            number = numbers[part["meta"]["uuid"]]
            renumbered[part["meta"]["chartId"]] = number
            part["meta"]["chartId"] = number
    metadata = {k: v for k, v in found["metadata"].items() if k not in _DASHBOARD_STATE}
    for one in metadata.get("native_filter_configuration", []):
        for name in _FILTER_STATE:
            one.pop(name, None)
        excluded = one["scope"]["excluded"]
        one["scope"]["excluded"] = sorted(renumbered[n] for n in excluded if n in renumbered)
    found["metadata"] = metadata
