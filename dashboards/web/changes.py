"""Which parts of a screen the page does not have yet: one drawn anew loses its focus and scroll."""

import json
from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from dash import no_update
from dash.development.base_component import Component

Sent = dict[str, str]


def only_changes(drawn: dict[str, Any], names: Iterable[str], sent: Sent | None) -> dict[str, Any]:
    """Return what is drawn, with nothing in the place of the named parts that were sent before.

    ``sent`` is what the page keeps of the answer before: a part's name and a hash of it.
    """
    marks = {name: _mark(drawn[name]) for name in names}
    same = [name for name, mark in marks.items() if sent is not None and sent.get(name) == mark]
    return drawn | dict.fromkeys(same, no_update) | {"sent": marks}


def _mark(part: object) -> str:
    return sha256(json.dumps(part, default=Component.to_plotly_json).encode()).hexdigest()
