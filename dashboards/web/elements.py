"""What Dash's typed elements do not have in their signatures."""

from collections.abc import Mapping
from typing import Any


def more(attributes: Mapping[str, object]) -> dict[str, Any]:
    """Return ``data-`` and ``aria-`` attributes for an element: their names are no identifiers."""
    return dict(attributes)
