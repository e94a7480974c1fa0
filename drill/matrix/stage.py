"""What a row plays on: the cluster, a loaded producer, landers, watchers, and the proofs."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TypeVar

from drill.matrix.auditors import Auditors
from drill.matrix.cluster import Cluster
from drill.matrix.errors import (
    RedError,
    StuckError,
    UnjudgedError,
    UnprovenError,
    UnseenError,
    UnsettledError,
    UnsteadyError,
)
from drill.matrix.members import Load, Member, Orders
from drill.matrix.sight import Ends, Sight
from drill.matrix.waiting import until
from drill.matrix.watchers import INVARIANTS, Watchers

T = TypeVar("T")

# Generous, since the machine may have more to do than this.
STEADY_S: Final = 120.0
PROOF_S: Final = 60.0
CATCH_UP_S: Final = 120.0
_ANSWERED_S: Final = 150.0
_BLIND_S: Final = 30.0  # may pass without a sample where the fault does not keep it from us
_LOADED: Final = 500  # records that are confirmed before a fault may come


@dataclass(frozen=True)
class Options:
    """What a whole run is played with."""

    rate: float = 1000.0
    broken: str = ""
    outage_s: float = 20.0
    store_outage_s: float = 60.0
    soak_minutes: float = 20.0
    seed: int = 0


@dataclass
class Stage:
    """One row's stage; the runner makes it, `play` uses it, the runner clears it."""

    cluster: Cluster
    sight: Sight
    auditors: Auditors
    options: Options
    folder: Path
    row: int
    proofs: list[str] = field(default_factory=list)  # that the fault happened
    reactions: list[str] = field(default_factory=list)  # what landing did then
    remarks: list[str] = field(default_factory=list)  # what was not looked at, and why
    notes: dict[str, float] = field(default_factory=dict)
    blind_s: dict[str, float] = field(default_factory=lambda: dict.fromkeys(INVARIANTS, _BLIND_S))
    members: list[Member] = field(default_factory=list)
    load: Load | None = None
    watchers: Watchers | None = None
    healed_at: float | None = None
    recovery_s: float | None = None
    closing: ExitStack = field(default_factory=ExitStack)

    # What a row does ----------------------------------------------------------------------------

    def lander(self, orders: Orders | None = None, name: str = "") -> Member:
        """Start a lander (with the run's rule broken); it is ended after the row."""
        given = orders or Orders()
        own = replace(given, broken=given.broken or self.options.broken)
        name = name or f"r{self.row}-{len(self.members) + 1}"
        self.members.append(Member(self.cluster, name, own))
        return self.members[-1]

    def landers(self, count: int, orders: Orders | None = None) -> list[Member]:
        """Start several landers alike."""
        return [self.lander(orders) for _ in range(count)]

    def producer(self, name: str, rate: float) -> Load:
        """Start a loaded producer; the runner ends its own, a row those that it starts."""
        return Load(self.cluster, name, rate, self.folder / "ledger")

    def steady(self) -> None:
        """Wait until records flow, each lander has a share, and bronze has what Kafka held then.

        A fault that meets landers before they share the partitions meets a rebalance too.

        Raises:
            UnsteadyError: it does not come to that.
        """
        until(self._is_loaded, STEADY_S, "the producer's records are confirmed", UnsteadyError)
        until(self._is_shared, STEADY_S, "every lander follows some partitions", UnsteadyError)
        targets = self.require_ends(UnsteadyError)
        until(
            lambda: self.sight.missing(targets) == 0,
            STEADY_S,
            "bronze follows Kafka",
            UnsteadyError,
        )

    def seen(self, question: Callable[[], T], error: type[RedError] = UnseenError) -> T:
        """Return the answer to a question, asked again while nobody answers.

        Raises:
            RedError: of the type ``error``, when nobody does within `CATCH_UP_S`.
        """
        answers: list[T] = []

        def ask() -> bool:
            answers.append(question())
            return True

        until(ask, CATCH_UP_S, "an answer", error)
        return answers[0]

    def prove(self, what: str, condition: Callable[[], object], timeout_s: float = PROOF_S) -> None:
        """Wait until it is seen that the fault happened; ``what`` says so in the report.

        Raises:
            UnprovenError: it was not seen.
        """
        until(condition, timeout_s, what, UnprovenError)
        self.proofs.append(what)

    def wait(self, what: str, condition: Callable[[], object], timeout_s: float = PROOF_S) -> None:
        """Wait for one of many steps, which the report does not name.

        Raises:
            StuckError: it did not come.
        """
        until(condition, timeout_s, what, StuckError)

    def expect(
        self, what: str, condition: Callable[[], object], timeout_s: float = CATCH_UP_S
    ) -> None:
        """Wait until landing has done what it has to do after the fault.

        Raises:
            StuckError: it did not.
        """
        until(condition, timeout_s, what, StuckError)
        self.reactions.append(what)

    def expect_progress(self, what: str) -> None:
        """Wait until bronze has what Kafka holds now, whatever is still broken.

        Raises:
            StuckError: it does not come to that.
        """
        targets = self.require_ends()
        self.expect(what, lambda: self.sight.missing(targets) == 0)

    def renew(
        self, topic: str, replicas: Sequence[Sequence[int]], settings: Mapping[str, str]
    ) -> None:
        """Delete a topic and create it again."""
        self.cluster.delete_topic(topic)
        until(lambda: not self.sight.leaders(topic), PROOF_S, f"{topic} is gone", UnprovenError)
        self.cluster.create_topic(topic, replicas, settings)
        until(lambda: self.sight.leaders(topic), PROOF_S, f"{topic} is back", UnprovenError)

    def look_via(self, broker: int) -> None:
        """Ask Kafka through this broker from here on, since another one will stand still."""
        self.sight = Sight(self.cluster, broker)

    def audit_now(self) -> None:
        """Have the auditors look in the middle of a fault that hides neither Kafka nor the store.

        Raises:
            ViolatedError: one of them found something violated.
            UnjudgedError: one of them could not judge.
        """
        for found in self.auditors.judge():
            found.require(["ok", "behind"], "during the fault")
        self.reactions.append("auditors in the middle of it: nothing violated")

    def blinds(self, why: str, seconds: float, *invariants: str) -> None:
        """Say that the fault may keep the watchers from samples of these for so long."""
        self.blind_s |= dict.fromkeys(invariants, seconds + _BLIND_S)
        self.remarks.append(f"{' and '.join(invariants)} not sampled for {seconds:.0f} s: {why}")

    def healed(self) -> None:
        """Say that the fault is over: from here on the time to recover counts."""
        self.healed_at = time.monotonic()

    # What the runner does -----------------------------------------------------------------------

    def begin(self) -> None:
        """Start the load and the watchers once the landers of the row before have left.

        Raises:
            UnsteadyError: they have not.
        """
        until(self._is_deserted, STEADY_S, "the group is empty", UnsteadyError)
        self.load = self.producer(str(self.row), self.options.rate)
        self.watchers = Watchers(self.cluster, self.row)
        self.watchers.start()

    def catch_up(self) -> float:
        """Return the seconds from the heal until bronze had all that Kafka held then.

        The runner does it; a row may before, where more of its own follows.

        Raises:
            StuckError: that did not come within `CATCH_UP_S`.
        """
        if self.recovery_s is None:
            began = self.healed_at or time.monotonic()
            self.expect_progress("bronze has caught up")
            self.recovery_s = round(time.monotonic() - began, 1)
        return self.recovery_s

    def drain(self) -> None:
        """Stop the load with every record answered, and wait until bronze lacks nothing.

        Raises:
            UnsettledError: a record stays unanswered.
            StuckError: bronze does not catch up.
        """
        self._stop_load()
        until(lambda: self.sight.lag() == 0, CATCH_UP_S, "the lag comes to 0", StuckError)

    def watched(self) -> str:
        """End the watch; return a word on what was sampled.

        Raises:
            ViolatedError: something changed, or a commit was ahead.
            UnjudgedError: nobody looked, or not often enough.
        """
        if self.watchers is None:
            raise UnjudgedError("nobody watched")
        return self.watchers.require_ok(self.blind_s)

    def require_whole(self) -> None:
        """End the landers; require that none of them ended otherwise than it was told to.

        Raises:
            StuckError: one did.
        """
        alone = [one.complaint() for one in self.members]
        self._end_members()
        if found := [text for text in (*alone, *(m.complaint() for m in self.members)) if text]:
            raise StuckError(found[0])

    def clear(self) -> None:
        """End what the row started."""
        if self.load is not None:
            self.load.process.end()
        if self.watchers is not None:
            self.watchers.end()
        self._end_members()
        self.closing.close()

    def leave(self) -> None:
        """End every lander, and wait until the group has no member.

        Raises:
            UnsettledError: it still has one.
        """
        self._end_members()
        until(self._is_deserted, CATCH_UP_S, "the group is empty", UnsettledError)

    def sent(self) -> dict[str, int]:
        """Return what the producer has told of itself."""
        return self.load.told() if self.load else {}

    def require_ends(self, error: type[RedError] = UnseenError) -> Ends:
        """Return where Kafka's logs end now, waiting for leaders that are away."""
        return self.seen(self.sight.ends, error)

    def _end_members(self) -> None:
        running = [member.process for member in self.members if member.process.is_running]
        for process in running:
            process.thaw()
            process.terminate()
        for process in running:
            process.end()

    def _is_deserted(self) -> bool:
        return self.sight.is_group_empty()

    def _is_loaded(self) -> bool:
        return self.sent().get("delivered", 0) >= _LOADED

    def _is_shared(self) -> bool:
        asked = [m for m in self.members if not (m.orders.forced or m.orders.failpoint)]
        return all(member.follows() for member in asked if member.process.is_running)

    def _stop_load(self) -> None:
        if self.load is None:
            return
        process = self.load.process
        process.terminate()
        code = process.wait(_ANSWERED_S)
        if code != 0:
            said = "still runs" if code is None else f"ended with {code}"
            raise UnsettledError(f"the producer {said}: {self.load.told()}; see {process.log}")
