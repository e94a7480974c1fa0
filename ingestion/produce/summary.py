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

    ``sent`` was handed to the client, ``delivered`` confirmed by Kafka, ``failed`` given up with a
    reason; the rest is unresolved. ``refused`` are those of the sent that are dead letters.
    """

    sent: Counter[str] = field(default_factory=Counter)
    delivered: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    queue_full_waits: int = 0
    seconds: float = 0.0
    interrupted: bool = False

    def fail(self, topic: str, reason: str) -> None:
        """Count a record that Kafka did not confirm."""
        self.failed[topic] += 1
        if reason in self.reasons or len(self.reasons) < _MAX_REASONS:
            self.reasons[reason] += 1

    @property
    def undelivered(self) -> int:
        """Records that were sent and not confirmed, for whatever reason."""
        return self.sent.total() - self.delivered.total()

    def explain(self) -> str:
        """Return one line that says what was not delivered and the first reasons."""
        missing = {t: self.sent[t] - self.delivered[t] for t in sorted(self.sent)}
        where = ", ".join(f"{topic} {count}" for topic, count in missing.items() if count)
        why = "; ".join(f"{reason} ({count}x)" for reason, count in self.reasons.most_common())
        unresolved = self.undelivered - self.failed.total()
        if unresolved:
            why = "; ".join(filter(None, [why, f"no answer yet for {unresolved}"]))
        return (
            f"{self.undelivered} of {self.sent.total()} records not confirmed by Kafka ({where}): "
            f"{why}. Run the same command again: what was delivered already is deduplicated"
        )

    def as_dict(self, facts: Mapping[str, object]) -> dict[str, Any]:
        """Return the machine-readable summary; ``facts`` say what was made, by which run."""
        return dict(facts) | {
            "sent": self.sent.total(),
            "delivered": self.delivered.total(),
            "undelivered": self.undelivered,
            "refused": self.refused,
            "by_topic": {
                topic: {"sent": self.sent[topic], "delivered": self.delivered[topic]}
                for topic in sorted(self.sent)
            },
            "reasons": dict(self.reasons),
            "queue_full_waits": self.queue_full_waits,
            "seconds": round(self.seconds, 3),
            "interrupted": self.interrupted,
        }
