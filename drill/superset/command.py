"""Pictures of the dashboards of the Superset that runs here."""

from pathlib import Path
from typing import Annotated, Final

import typer

from drill.superset.pages import Site, picture, show, signed_in
from infra.local import superset
from infra.local.layout import Layout
from infra.setup import browser
from infra.setup.console import Console, SetupError
from infra.superset import bundle
from ingestion.errors import StackError

_NAMES: Final = {"markets": "superset-markets", "data-quality": "superset-data-quality"}


def play(
    pictures: Annotated[Path, typer.Option(help="The folder that the pictures go to.")] = Path(
        "docs/images"
    ),
) -> None:
    """Show each dashboard of a running Superset (`make superset`) and take its picture."""
    layout = Layout.load()
    superset.probe(layout)
    site = Site(superset.url(layout), superset.USER, layout.superset.secret("admin_password"))
    try:
        program = browser.ensure(Console(total=1), layout.log / "browser.log")
    except SetupError as error:
        raise StackError(str(error)) from error
    for slug, charts in chart_counts().items():
        with signed_in(program, site) as visit:
            answers = show(visit, site, slug, charts)
            path = pictures / f"{_NAMES.get(slug, slug)}.png"
            picture(visit.page, path)
        typer.echo(f"{path}: {charts} charts, {len(answers)} asked")


def chart_counts() -> dict[str, int]:
    """Return how many charts each dashboard of the files has, by its slug."""
    dashboards = [one for path, one in bundle.read().items() if path.startswith("dashboards/")]
    return {
        one["slug"]: sum(
            isinstance(part, dict) and part["type"] == "CHART" for part in one["position"].values()
        )
        for one in dashboards
    }
