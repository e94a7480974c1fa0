"""Ids that two generations agree on: made of what a thing is, never of chance or the clock."""

import uuid
from hashlib import sha256
from typing import Final

_NAMESPACE: Final = uuid.UUID("5d6f2f0e-5f0b-5c0c-9c51-6f2f8a4b1c07")
_LENGTH: Final = 20


def tag(*names: str) -> str:
    """Return the UUID of a thing of the model or the project, by its names from the outside in."""
    return str(uuid.uuid5(_NAMESPACE, "/".join(names)))


def name(*names: str) -> str:
    """Return the name of a page, visual or filter: twenty hexadecimal digits, as Power BI's own."""
    return sha256("/".join(names).encode()).hexdigest()[:_LENGTH]
