"""Bring the bundle into this Superset, and out of it. Runs in Superset's environment."""

import io
from collections.abc import Iterable
from typing import Any

import yaml
from flask import current_app
from superset import db
from superset.commands.chart.delete import DeleteChartCommand
from superset.commands.dashboard.delete import DeleteDashboardCommand
from superset.commands.dashboard.export import ExportDashboardsCommand
from superset.commands.dataset.delete import DeleteDatasetCommand
from superset.commands.importers.v1.assets import ImportAssetsCommand
from superset.connectors.sqla.models import SqlaTable
from superset.models.core import Database
from superset.models.dashboard import Dashboard
from superset.models.slice import Slice

from infra.superset import bundle
from infra.superset.bundle import Bundle

# Marks what came from our files: only that is removed when its file is gone.
MARK = "tapehouse:"
MODELS: dict[str, Any] = {
    "databases": Database,
    "datasets": SqlaTable,
    "charts": Slice,
    "dashboards": Dashboard,
}
_DELETES = {
    Dashboard: DeleteDashboardCommand,
    Slice: DeleteChartCommand,
    SqlaTable: DeleteDatasetCommand,
}


def import_bundle(files: Bundle) -> list[str]:
    """Make our assets what the files say; return the names of those that were removed.

    Whatever was changed in our assets by hand is undone; others' assets stay as they are.

    Raises:
        CommandException: a file is not what Superset takes; then nothing has changed.
    """
    contents = {path: yaml.safe_dump(_stamped(path, one)) for path, one in files.items()}
    contents["metadata.yaml"] = yaml.safe_dump(bundle.METADATA)
    ImportAssetsCommand(contents).run()
    return _remove({one["uuid"] for one in files.values()})


def _stamped(path: str, document: bundle.Document) -> bundle.Document:
    found = document | {"external_url": MARK + path}
    if "sqlalchemy_uri" in found:
        found["sqlalchemy_uri"] = current_app.config["GOLD"].placeholder()
    return found


def ours(kind: str) -> list[Any]:
    """Return the assets of a kind that came from our files."""
    model = MODELS[kind]
    found: list[Any] = db.session.query(model).filter(model.external_url.startswith(MARK)).all()
    return found


def _remove(kept: set[str]) -> list[str]:
    removed = []
    for kind in ("dashboards", "charts", "datasets"):  # a thing goes before what it stands on
        gone = [one for one in ours(kind) if str(one.uuid) not in kept]
        removed += [one.external_url.removeprefix(MARK) for one in gone]
        if gone:
            _DELETES[MODELS[kind]]([one.id for one in gone]).run()
    return removed


def export_bundle(files: Bundle) -> Bundle:
    """Return our dashboards, with all that they stand on, as documents for the files."""
    dashboards = [one.id for one in ours("dashboards")]
    exported = dict(_documents(ExportDashboardsCommand(dashboards).run()))
    return bundle.normalised(exported, files)


def _documents(parts: Iterable[tuple[str, Any]]) -> Iterable[tuple[str, bundle.Document]]:
    for path, content in parts:
        if path.partition("/")[0] in bundle.KINDS:
            yield path, yaml.safe_load(io.StringIO(content()))
