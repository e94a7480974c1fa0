"""Secrets of the settings where none may be (I12): in the logs, in bronze and its metadata."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import zstandard

from audit.errors import UnreadableError
from audit.listing import Store, Version
from audit.model import Check, bad, good
from audit.names import KNOWN
from audit.objects import inflate

_NAME, _INVARIANT = "secrets", "no secret of the settings is in logs or objects (I12)"
_ENDINGS = ("_PASSWORD", "_SECRET_KEY", "_SECRET")
# What is shorter is found by chance, and is no secret.
_SHORTEST = 8
_BLOCK = 1 << 20


def of_settings(values: Mapping[str, str]) -> dict[str, bytes]:
    """Return the secrets by the name of their setting."""
    return {
        name: value.encode()
        for name, value in values.items()
        if name in KNOWN and name.endswith(_ENDINGS) and len(value) >= _SHORTEST
    }


def judge(secrets: Mapping[str, bytes], store: Store, logs: Path) -> list[Check]:
    """Search the current version of every object, and every log; a secret itself is never told."""
    return [
        _verdict("logs", _in_logs(secrets, logs)),
        _verdict("bronze", _in_store(secrets, store)),
    ]


def _verdict(where: str, leaks: Iterable[tuple[str, str]]) -> Check:
    found = [f"{name} in {place}" for name, place in leaks]
    if found:
        return bad(f"{_NAME}.{where}", _INVARIANT, f"the value of {found[0]}", found)
    return good(f"{_NAME}.{where}", _INVARIANT)


def _in_logs(secrets: Mapping[str, bytes], logs: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(path for path in logs.rglob("*") if path.is_file()):
        try:
            names = search(secrets, _blocks(path))
        except OSError as error:
            raise UnreadableError(f"the log {path} cannot be read: {error}") from error
        yield from ((name, str(path)) for name in names)


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block


def _in_store(secrets: Mapping[str, bytes], store: Store) -> Iterator[tuple[str, str]]:
    for version in store.objects():
        yield from ((name, version.key) for name in _in_object(secrets, store, version))


def _in_object(secrets: Mapping[str, bytes], store: Store, version: Version) -> list[str]:
    with store.open(version) as (metadata, chunks):
        told = "\n".join([version.key, *metadata.keys(), *metadata.values()]).encode()
        try:
            held = search(secrets, inflate(chunks))
        except zstandard.ZstdError as error:
            raise UnreadableError(f"object {version.key} cannot be searched: {error}") from error
        return sorted({*search(secrets, [told]), *held})


def search(secrets: Mapping[str, bytes], blocks: Iterable[bytes]) -> list[str]:
    """Return the names of the secrets that are in a stream, also across its blocks."""
    overlap = max(map(len, secrets.values()), default=1) - 1
    found: set[str] = set()
    rest = b""
    for block in blocks:
        text = rest + block
        found |= {name for name, secret in secrets.items() if secret in text}
        rest = text[-overlap:] if overlap else b""
    return sorted(found)
