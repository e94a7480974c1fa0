"""Which fault of the script acts on a request or a stream, and what it does to an answer."""

import base64
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec

from ingestion.errors import SettingsError
from ingestion.fakes.answer import JSON, TEXT, Answer
from ingestion.fakes.record import Record
from ingestion.fakes.script import (
    AnyFault,
    Asked,
    Dead,
    NullRow,
    OfData,
    Payload,
    Provider,
    Refusal,
    Replace,
    Restate,
    Script,
    Split,
    Status,
)


class Faults:
    """The script's faults, and those added while the servers run."""

    def __init__(self, script: Script, record: Record) -> None:
        self._script = script
        self._record = record
        self._added: list[AnyFault] = []
        self._payloads: dict[str, list[bytes]] = {}
        self._taken: Counter[str] = Counter()
        self._data: list[OfData] = []
        self._collect()
        for fault in script.faults:
            self.check(fault)

    def add(self, fault: AnyFault) -> None:
        """Let a further fault act from now on, unless it says from when.

        Raises:
            SettingsError: its file of payloads cannot be read.
        """
        self.check(fault)
        self._added.append(self._from_now(fault))
        self._collect()

    def _from_now(self, fault: AnyFault) -> AnyFault:
        if fault.at_s is None and fault.for_s is not None:
            fault = msgspec.structs.replace(fault, at_s=self._record.elapsed_s())
        if fault.at_request is None and fault.requests is not None:
            number = self._record.number(fault.provider, fault.kind) + 1
            fault = msgspec.structs.replace(fault, at_request=number)
        return fault

    def clear(self) -> None:
        """Take back every fault, the script's included."""
        self._script = msgspec.structs.replace(self._script, faults=())
        self._added.clear()
        self._collect()

    def check(self, fault: AnyFault) -> None:
        """Read what a fault needs, so that a wrong script fails at the start."""
        if isinstance(fault, Payload) and fault.file not in self._payloads:
            self._payloads[fault.file] = _payloads(Path(self._script.folder) / fault.file)

    def acting(
        self, provider: Provider, on: Asked, kinds: type[AnyFault] | tuple[type[AnyFault], ...]
    ) -> list[AnyFault]:
        """Return the faults of these kinds that act on the request that was counted last."""
        elapsed = self._record.elapsed_s()
        return [
            fault
            for fault in (*self._script.faults, *self._added)
            if isinstance(fault, kinds)
            and fault.provider == provider
            and fault.kind in ("any", on)
            and fault.covers(self._record.number(provider, fault.kind), elapsed)
        ]

    def of_data(self, provider: Provider, symbol: str) -> Sequence[OfData]:
        """Return the faults in a symbol's bars as this provider gives them now."""
        return [
            fault
            for fault in self._data
            if fault.symbol == symbol
            and fault.provider == provider
            and fault.covers(self._record.number(provider, fault.kind), self._record.elapsed_s())
        ]

    def is_dead(self, provider: Provider) -> bool:
        """Tell whether the provider's port is to be closed now."""
        elapsed = self._record.elapsed_s()
        return any(
            isinstance(fault, Dead) and fault.provider == provider and fault.by_time(elapsed)
            for fault in (*self._script.faults, *self._added)
        )

    def next_payload(self, fault: Payload) -> bytes:
        """Return the next body or frame of a fault's file; after the last comes the first."""
        bodies = self._payloads[fault.file]
        taken = self._taken[fault.file]
        self._taken[fault.file] += 1
        return bodies[taken % len(bodies)]

    def changed(self, fault: Status | Refusal | Replace | Payload, answer: Answer) -> Answer:
        """Return what is sent in place of an answer; nothing of it counts as handed out."""
        if isinstance(fault, Status):
            return _status(fault)
        if isinstance(fault, Refusal):
            return Answer(200, msgspec.json.encode(REFUSALS[fault.text]))
        if isinstance(fault, Payload):
            return Answer(fault.status, self.next_payload(fault), JSON)
        text = re.sub(fault.find.encode(), lambda _match: fault.text.encode(), answer.body)
        return replace(answer, body=text, given=())

    def _collect(self) -> None:
        kinds = Restate, Split, NullRow
        self._data = [f for f in (*self._script.faults, *self._added) if isinstance(f, kinds)]


REFUSALS: dict[str, dict[str, Any]] = {
    "day": {
        "Information": "Thank you for using Alpha Vantage! Our standard API rate limit is 25 "
        "requests per day. Please subscribe to any of the premium plans at "
        "https://www.alphavantage.co/premium/ to instantly remove all daily rate limits."
    },
    "burst": {
        "Information": "Thank you for using Alpha Vantage! Please consider spreading out your free "
        "API requests more sparingly (1 request per second). You may subscribe to any of the "
        "premium plans at https://www.alphavantage.co/premium/ to lift the free key rate limit "
        "(25 requests per day), raise the per-second burst limit, and instantly unlock all premium "
        "endpoints"
    },
    "premium": {
        "Information": "Thank you for using Alpha Vantage! This is a premium endpoint. You may "
        "subscribe to any of the premium plans at https://www.alphavantage.co/premium/ to "
        "instantly unlock all premium endpoints"
    },
    "note": {
        "Note": "Thank you for using Alpha Vantage! Our standard API call frequency is 5 calls per "
        "minute and 500 calls per day. Please visit https://www.alphavantage.co/premium/ if you "
        "would like to target a higher API call frequency."
    },
    "error": {
        "Error Message": "Invalid API call. Please retry or visit the documentation "
        "(https://www.alphavantage.co/documentation/) for TIME_SERIES_DAILY."
    },
    "empty": {"Global Quote": {}},
}


def _status(fault: Status) -> Answer:
    phrase = HTTPStatus(fault.status).phrase
    body, media = phrase.encode(), TEXT
    if fault.provider == "finnhub":
        body, media = msgspec.json.encode({"error": phrase}), JSON
    if fault.body is not None:
        body = fault.body.encode()
    headers = {} if fault.retry_after_s is None else {"Retry-After": str(fault.retry_after_s)}
    return Answer(fault.status, body, media, headers)


class _Line(msgspec.Struct):
    name: str
    body_b64: str


def _payloads(path: Path) -> list[bytes]:
    try:
        lines = msgspec.json.Decoder(_Line).decode_lines(path.read_bytes())
        bodies = [base64.b64decode(line.body_b64, validate=True) for line in lines]
    except (OSError, ValueError) as error:  # msgspec's errors and binascii's are ValueErrors
        raise SettingsError(f"{path}: {error}") from error
    if not bodies:
        raise SettingsError(f"{path}: expected at least one payload")
    return bodies
