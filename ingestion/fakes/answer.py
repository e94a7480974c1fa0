"""What a provider answers to one request, before any fault is put into it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ingestion.fakes.record import Observation

JSON = "application/json"
TEXT = "text/plain"
SIMULATED = "X-Tapehouse-Simulated"


@dataclass(frozen=True)
class Answer:
    """A status, a body, and the observations that it hands out."""

    status: int
    body: bytes
    media: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    given: Sequence[Observation] = ()


def json_answer(
    document: Any,  # noqa: ANN401 - JSON
    status: int = 200,
    given: Sequence[Observation] = (),
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Return a JSON document as an answer."""
    return Answer(status, msgspec.json.encode(document), JSON, headers or {}, given)
