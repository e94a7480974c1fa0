"""What each screen's panels use of gold, and what is wrong with it.

A screen is a folder here with a module ``panels.py``: ``EXPOSURE``, its name in
``_gold__exposures.yml``, and ``PANELS``, by panel the tables and the columns of them that it uses.
One that reads a table has to be in the exposure, or dbt does not know who is hit by a change.
"""

import importlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from dashboards.contract import Contract
from dashboards.generate import GOLD

HERE: Final = Path(__file__).parent
EXPOSURES: Final = GOLD / "_gold__exposures.yml"

_REF: Final = re.compile(r"ref\('(\w+)'\)")

# By panel, the tables that it reads and the columns of each.
Panels = Mapping[str, Mapping[str, Iterable[str]]]


@dataclass(frozen=True)
class Screen:
    """A screen: its exposure's name, and its panels."""

    exposure: str
    panels: Panels


def screens() -> list[Screen]:
    """Return every screen of this folder."""
    modules = (
        importlib.import_module(f"dashboards.{path.parent.name}.panels")
        for path in sorted(HERE.glob("*/panels.py"))
    )
    return [Screen(module.EXPOSURE, module.PANELS) for module in modules]


def broken_uses(panels: Panels, contract: Contract) -> list[str]:
    """Return a line for every table and column that a panel uses and gold does not have."""
    broken = []
    for panel, tables in panels.items():
        for table, columns in tables.items():
            if table not in contract.tables:
                broken.append(f"panel {panel} uses {table}, which gold does not have")
                continue
            missing = sorted(set(columns) - set(contract.tables[table].columns))
            broken += [
                f"panel {panel} uses {table}.{column}, which gold does not have"
                for column in missing
            ]
    return broken


def exposed(path: Path = EXPOSURES) -> dict[str, set[str]]:
    """Return the tables of gold that each exposure says it reads."""
    found = yaml.safe_load(path.read_text())["exposures"]
    return {
        exposure["name"]: set(_REF.findall(" ".join(exposure["depends_on"]))) for exposure in found
    }


def misexposed(screen: Screen, exposures: Mapping[str, set[str]]) -> list[str]:
    """Return a line for every table that a screen's panels and its exposure do not agree about."""
    if screen.exposure not in exposures:
        return [f"{screen.exposure}: expected an exposure of this name, found none"]
    listed = exposures[screen.exposure]
    users: dict[str, str] = {}
    for panel, tables in screen.panels.items():
        for table in tables:
            users.setdefault(table, panel)
    unlisted = [
        f"panel {users[table]} uses {table}, which exposure {screen.exposure} does not name"
        for table in sorted(set(users) - listed)
    ]
    unused = [
        f"exposure {screen.exposure} names {table}, which none of its panels uses"
        for table in sorted(listed - set(users))
    ]
    return unlisted + unused
