"""What earlier audits verified: saves reading it again, and shows what has vanished since."""

import json
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

from audit.files import write
from audit.model import Partition
from audit.objects import Bronze

_FORMAT = 1
_FACTS = [field.name for field in fields(Bronze) if field.compare]


class Memory:
    """Objects found good, by key, with the identity under which they were read.

    An object is remembered only while its partition's chain holds; once remembered it is never
    overwritten by something else: I3 says that no key ever changes.
    """

    def __init__(self, path: Path, store: str) -> None:
        self._path = path
        self._store = store
        self._known: dict[str, dict[str, Any]] = self._load()

    def recall(self, key: str, identity: str) -> Bronze | None:
        """Return what reading this very version showed; None when it has to be read."""
        known = self._known.get(key)
        if known is None or known["identity"] != identity:
            return None
        facts = known["object"]
        place = Partition(*facts["partition"])
        spans = [(first, last) for first, last in facts["runs"]]
        return Bronze(**{**facts, "partition": place, "runs": spans})

    def vanished(self, present: Iterable[str]) -> list[str]:
        """Return the remembered keys that are no longer there."""
        return sorted(self._known.keys() - set(present))

    def ends(self) -> dict[Partition, int]:
        """Return where the remembered objects of each partition end (exclusive)."""
        found: dict[Partition, int] = {}
        for known in self._known.values():
            place = Partition(*known["object"]["partition"])
            found[place] = max(found.get(place, 0), known["object"]["next"] or 0)
        return found

    def changed(self, found: Iterable[Bronze]) -> list[str]:
        """Return the keys whose bytes or interval are not those remembered."""
        return [item.key for item in found if self._differs(item)]

    def remember(self, found: Iterable[tuple[Bronze, str]]) -> None:
        """Keep good objects with their identities, and write the file when that is news."""
        news = {
            item.key: {"identity": identity, "object": _facts(item)}
            for item, identity in found
            if not self._differs(item) and self._known.get(item.key, {}).get("identity") != identity
        }
        if news:
            self._known |= news
            self._save()

    def _differs(self, item: Bronze) -> bool:
        known = self._known.get(item.key)
        if known is None:
            return False
        before = known["object"]
        return bool((before["sha256"], before["next"]) != (item.sha256, item.next))

    def _load(self) -> dict[str, dict[str, Any]]:
        try:
            body = json.loads(self._path.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return {}
        same = body.get("format") == _FORMAT and body.get("store") == self._store
        return dict(body["objects"]) if same else {}

    def _save(self) -> None:
        body = {"format": _FORMAT, "store": self._store, "objects": self._known}
        write(json.dumps(body), self._path)


def _facts(item: Bronze) -> dict[str, Any]:
    return {name: getattr(item, name) for name in _FACTS}
