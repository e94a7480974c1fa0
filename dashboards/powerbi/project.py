"""The project's folder: every file of it, written or compared."""

from pathlib import Path
from typing import Final

from dashboards import contract
from dashboards.powerbi import report, tmdl
from dashboards.powerbi.definition import MODEL, NAME, PAGE
from dashboards.powerbi.identity import tag

HERE: Final = Path(__file__).parent
FOLDER: Final = HERE / "project"
VENDOR: Final = HERE / "vendor"

_FABRIC: Final = "https://developer.microsoft.com/json-schemas/fabric"
SCHEMAS: Final = {
    "pbip": f"{_FABRIC}/pbip/pbipProperties/1.0.0/schema.json",
    "pbir": f"{_FABRIC}/item/report/definitionProperties/2.0.0/schema.json",
    "pbism": f"{_FABRIC}/item/semanticModel/definitionProperties/1.0.0/schema.json",
    "platform": f"{_FABRIC}/gitIntegration/platformProperties/2.0.0/schema.json",
}
# What Desktop writes for one reader on one machine: a cache of data, and their settings.
_IGNORED: Final = "**/.pbi/localSettings.json\n**/.pbi/cache.abf\n"


def files(gold: contract.Contract) -> dict[str, str]:
    """Return the text of every file of the project by its path.

    Raises:
        ContractError: gold does not have a table or column that the model is made of.
    """
    model, shown = f"{NAME}.SemanticModel", f"{NAME}.Report"
    theme = (VENDOR / f"{report.THEME}.json").read_text(encoding="utf-8")
    found = {
        ".gitignore": _IGNORED,
        f"{NAME}.pbip": _shortcut(shown),
        f"{model}/.platform": _platform("SemanticModel"),
        f"{model}/definition.pbism": report.dumps(
            {"$schema": SCHEMAS["pbism"], "version": "4.2", "settings": {}}
        ),
        f"{shown}/.platform": _platform("Report"),
        f"{shown}/definition.pbir": report.dumps(
            {
                "$schema": SCHEMAS["pbir"],
                "version": "4.0",
                "datasetReference": {"byPath": {"path": f"../{model}"}},
            }
        ),
        f"{shown}/StaticResources/SharedResources/BaseThemes/{report.THEME}.json": theme,
    }
    found |= {f"{model}/definition/{path}": text for path, text in tmdl.files(MODEL, gold).items()}
    return found | {f"{shown}/definition/{path}": text for path, text in report.files(PAGE).items()}


def outdated(wanted: dict[str, str], folder: Path = FOLDER) -> list[str]:
    """Return the paths that differ from what is wanted: other text, missing, or no file of ours."""
    there = {path.relative_to(folder).as_posix() for path in _present(folder)}
    other = {path for path in there & set(wanted) if _text(folder / path) != wanted[path]}
    return sorted(other | (there ^ set(wanted)))


def write(wanted: dict[str, str], folder: Path = FOLDER) -> list[str]:
    """Make the folder what is wanted, remove what is not of it, and return the paths touched."""
    touched = outdated(wanted, folder)
    for path in touched:
        if path not in wanted:
            (folder / path).unlink()
            continue
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(wanted[path], encoding="utf-8", newline="\n")
    return touched


def _present(folder: Path) -> list[Path]:
    """Return the files of a folder, without those that Desktop keeps for itself."""
    return [
        path for path in folder.rglob("*") if path.is_file() and ".pbi" not in path.parent.parts
    ]


def _text(path: Path) -> str:
    """Return a file's text as it lies; a checkout may end its lines as Windows does."""
    return path.read_bytes().decode("utf-8").replace("\r\n", "\n")


def _shortcut(report_folder: str) -> str:
    # The report alone, which names its model: Desktop fails where the model is listed here too.
    return report.dumps(
        {
            "$schema": SCHEMAS["pbip"],
            "version": "1.0",
            "artifacts": [{"report": {"path": report_folder}}],
            "settings": {"enableAutoRecovery": True},
        }
    )


def _platform(kind: str) -> str:
    return report.dumps(
        {
            "$schema": SCHEMAS["platform"],
            "metadata": {"type": kind, "displayName": NAME},
            "config": {"version": "2.0", "logicalId": tag("item", kind)},
        }
    )
