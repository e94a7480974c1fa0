"""What a run of the producer did, counted from Kafka's own answers."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# More reasons than this say nothing new, and a million failed records must not fill the memory.
_MAX_REASONS = 5


@dataclass
class Summary:
    """Counts of one run, by topic.

    ``sent`` was handed to the client, ``delivered`` confirmed by Kafka, ``failed`` certainly not
    written, ``unknown`` given up without a certain answer; the rest is unresolved. ``resent``
    counts each time that a record was handed over again. ``refused`` are those of the sent that are
    dead letters. ``spooled`` are records that ``spool`` still holds for a later run, ``set_aside``
    those of the failed that it keeps and that no run sends unless it is told to.
    """

    sent: Counter[str] = field(default_factory=Counter)
    delivered: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    resent: int = 0
    spooled: int = 0
    set_aside: int = 0
    spool: str = ""
    queue_full_waits: int = 0
    seconds: float = 0.0
    interrupted: bool = False

    def fail(self, topic: str, reason: str) -> None:
        """Count a record that is certainly not in Kafka."""
        self.failed[topic] += 1
        self.add_reason(reason)

    def add_reason(self, reason: str) -> None:
        """Count why a record was not confirmed, for good or for now."""
        if reason in self.reasons or len(self.reasons) < _MAX_REASONS:
            self.reasons[reason] += 1

    @property
    def undelivered(self) -> int:
        """Records that were sent and not confirmed, for whatever reason."""
        return self.sent.total() - self.delivered.total()

    def explain(self) -> str:
        """Return one line that says what was not delivered, the first reasons, and what to do."""
        parts = self._explain_undelivered(), self._explain_set_aside(), self._explain_spooled()
        return "; ".join(filter(None, parts))

    def _explain_undelivered(self) -> str:
        if not self.undelivered:
            return ""
        missing = {t: self.sent[t] - self.delivered[t] for t in sorted(self.sent)}
        where = ", ".join(f"{topic} {count}" for topic, count in missing.items() if count)
        why = [f"{reason} ({count}x)" for reason, count in self.reasons.most_common()]
        unresolved = self.undelivered - self.failed.total() - self.unknown.total()
        if unresolved:
            why.append(f"no answer yet for {unresolved}")
        advice = "Run the same command again: what was delivered already is deduplicated"
        return (
            f"{self.undelivered} of {self.sent.total()} records not confirmed by Kafka ({where}; "
            f"{self.failed.total()} certainly not written, the rest unknown): {'; '.join(why)}"
            + ("" if self.spooled or self.set_aside else f". {advice}")
        )

    def _explain_set_aside(self) -> str:
        if not self.set_aside:
            return ""
        return (
            f"{self.set_aside} records that Kafka will not take are set aside in {self.spool}: see "
            "`python -m ingestion produce spool status`; `spool drain --set-aside` tries them again"
        )

    def _explain_spooled(self) -> str:
        if not self.spooled:
            return ""
        return (
            f"{self.spooled} records are kept in {self.spool}: the next run with it sends them "
            "first, and so does `python -m ingestion produce spool drain`"
        )

    def as_dict(self, facts: Mapping[str, object]) -> dict[str, Any]:
        """Return the machine-readable summary; ``facts`` say what was made, by which run."""
        return dict(facts) | {
            "sent": self.sent.total(),
            "delivered": self.delivered.total(),
            "undelivered": self.undelivered,
            "refused": self.refused,
            "resent": self.resent,
            "failed": self.failed.total(),
            "unknown": self.undelivered - self.failed.total(),
            "spooled": self.spooled,
            "set_aside": self.set_aside,
            "by_topic": {
                topic: {"sent": self.sent[topic], "delivered": self.delivered[topic]}
                for topic in sorted(self.sent)
            },
            "reasons": dict(self.reasons),
            "queue_full_waits": self.queue_full_waits,
            "seconds": round(self.seconds, 3),
            "interrupted": self.interrupted,
        }
