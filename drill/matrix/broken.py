"""Rules of the protocol, broken on purpose in a lander's process on the real store."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from drill.simulation.mutants import AdoptUnchecked, CommitBeforePut, UnknownIsLanded
from ingestion.land import objects
from ingestion.land.core import Core, Limits
from ingestion.land.protocol import Head, Partition, PutOutcome
from ingestion.land.store import BronzeStore

_SUFFIX: Final = ".jsonl.zst"
# Offsets that are in no object, or in two.
_CHAIN: Final = frozenset({"bronze.chain"})


@dataclass(frozen=True)
class Rules:
    """What a lander is built from; as it stands, the product's own rules.

    ``caught_by`` names the auditors' checks that have to find it, and ``stuck`` where landing
    notices by itself. Another reason for a red row is a failure of something else.
    """

    core: Callable[[Limits], Core] = Core
    store: Callable[..., BronzeStore] = BronzeStore
    caught_by: frozenset[str] = frozenset()


class Overwriting(BronzeStore):
    """Writes whether or not the key is taken."""

    def put(self, key: str, body: bytes, head: Head) -> tuple[PutOutcome, str]:
        fields = objects.metadata(head)
        self._client.put_object(Bucket=self._bucket, Key=key, Body=body, Metadata=fields)
        return PutOutcome.LANDED, ""


class EndInKey(BronzeStore):
    """Names an object by both of its ends: two writers of one range no longer collide."""

    def put(self, key: str, body: bytes, head: Head) -> tuple[PutOutcome, str]:
        return super().put(f"{key.removesuffix(_SUFFIX)}-{head.next:020d}{_SUFFIX}", body, head)

    def get(self, partition: Partition, generation: str, start: int) -> tuple[Head, bytes] | None:
        wanted = objects.key(partition, generation, start).removesuffix(_SUFFIX)
        for key in self._keys(partition, generation, start):
            if key.startswith(wanted):
                answer = self._client.get_object(Bucket=self._bucket, Key=key)
                body = answer["Body"].read()
                return objects.verify(start, answer["Metadata"], body), body
        return None

    def last(self, partition: Partition, generation: str, since: int = 0) -> int | None:
        keys = list(self._keys(partition, generation, since))
        return int(keys[-1].rsplit("/", 1)[1][:20]) if keys else None


class ConflictIsLanded(BronzeStore):
    """Takes 409 for "somebody has written it", as if it were 412 on the own retry."""

    def put(self, key: str, body: bytes, head: Head) -> tuple[PutOutcome, str]:
        outcome, words = super().put(key, body, head)
        return (PutOutcome.LANDED if outcome is PutOutcome.CONFLICT else outcome), words


class RefusedIsLanded(BronzeStore):
    """Drops what the store refuses."""

    def put(self, key: str, body: bytes, head: Head) -> tuple[PutOutcome, str]:
        outcome, words = super().put(key, body, head)
        return (PutOutcome.LANDED if outcome is PutOutcome.REFUSED else outcome), words


RULES: Final[dict[str, Rules]] = {
    "": Rules(),
    "commit-before-put": Rules(
        core=CommitBeforePut, caught_by=frozenset({"kafka.committed", "I4"})
    ),
    "overwrite": Rules(store=Overwriting, caught_by=frozenset({"bronze.versions", "I3"})),
    "end-in-key": Rules(store=EndInKey, caught_by=frozenset({"bronze.keys"})),
    "adopt-unchecked": Rules(core=AdoptUnchecked, caught_by=_CHAIN),
    "unknown-is-landed": Rules(core=UnknownIsLanded, caught_by=_CHAIN),
    "conflict-is-landed": Rules(store=ConflictIsLanded, caught_by=_CHAIN),
    # A lander that drops what is refused does not tell of the refusal that it has to tell of.
    "refused-is-landed": Rules(store=RefusedIsLanded, caught_by=_CHAIN | {"stuck"}),
}
BREAKABLE: Final = tuple(name for name in RULES if name)


def is_caught(rule: str, kind: str, checks: Iterable[str]) -> bool:
    """Tell whether a red row has noticed this rule, and not something else."""
    found = {"stuck"} if kind == "stuck" else set(checks)
    return kind in ("stuck", "violated") and bool(found & RULES[rule].caught_by)
