"""What an adapter makes of a provider's record: an envelope with its identity, checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from ingestion.clock import rfc3339
from ingestion.contracts.identity import observation_id
from ingestion.contracts.records import Message
from ingestion.errors import ContractError


@dataclass(frozen=True)
class Envelopes:
    """Makes one provider's messages of one run. ``simulated`` is what its server says of itself."""

    source: str
    run_id: str
    simulated: bool = False

    def observation(
        self,
        schema: str,
        symbol: str,
        event_time: str,
        fetched_at: datetime,
        data: Mapping[str, Any],
        canonical: Mapping[str, Any] | None = None,
    ) -> Message:
        """Return a quote, a bar or an action; ``canonical`` is ``data`` for its identity.

        Raises:
            ContractError: it is no valid message; the text says what was expected and found.
        """
        identity = data if canonical is None else canonical
        event_id = observation_id(self.source, schema, symbol, event_time, identity)
        return self.message(schema, event_id, symbol, event_time, rfc3339(fetched_at), data)

    def message(
        self,
        schema: str,
        event_id: str,
        symbol: str,
        event_time: str,
        fetched_at: str,
        data: Mapping[str, Any],
    ) -> Message:
        """Return a message with a known identity.

        Raises:
            ContractError: as `observation`.
        """
        fields = {
            "schema": schema,
            "event_id": event_id,
            "source": self.source,
            "simulated": self.simulated,
            "symbol": symbol,
            "event_time": event_time,
            "fetched_at": fetched_at,
            "run_id": self.run_id,
            "data": data,
        }
        try:
            made: Message = msgspec.convert(fields, Message)
        except msgspec.ValidationError as error:
            raise ContractError(f"not a valid message: {error}") from None
        return made
