"""Landers that race on one partition, crash and are lied to, in every order Hypothesis finds."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.land.protocol import Lost, Put, PutOutcome, Revoked
from tests.ingestion.land.world import P0, Lander, World

MAX_AGE_S = 2.0
STEPS = (
    "append", "mark", "feed", "wait", "answer", "reorder", "lost ack", "unknown", "conflict",
    "refused", "fail", "revoke", "lose", "crash", "retention",
)  # fmt: skip


class Race:
    """Two landers that both believe that they own the partition; checked after every step."""

    def __init__(self) -> None:
        self.world = World()
        self.landers = [self._start(), self._start()]
        self.gone: set[int] = set()

    def step(self, who: int, what: str) -> None:
        lander = self.landers[who]
        log = self.world.logs[P0]
        match what:
            case "append":
                log.append(2)
            case "mark":
                log.append(0, markers=1)
            case "feed":
                lander.feed(limit=3)
            case "wait":
                lander.wait(MAX_AGE_S)
            case "revoke":
                lander.tell(Revoked((P0,)))
            case "lose":
                lander.tell(Lost((P0,)))
                lander.assign(P0)
            case "crash":
                self.landers[who] = self._start()
            case "retention":
                self._retain()
            case _:
                self._answer(lander, what)
        self.check()

    def check(self) -> None:
        """Hold I2 to I5: one chain, its records the log's; commits are checked by `Lander`."""
        landed = self.world.landed()
        assert landed == sorted(set(landed)), "a record is in bronze twice"
        known = set(self.world.logs[P0].offsets) | self.gone
        assert set(landed) <= known
        in_gaps = {o for h, _ in self.world.chain() if not h.count for o in range(h.start, h.next)}
        missing = {o for o in known if o < self.world.end()} - set(landed) - in_gaps
        assert not missing, f"skipped: {missing}"

    def heal(self) -> None:
        """Let one lander work undisturbed: everything must arrive."""
        last = self._start()
        last.settle()
        for _ in range(60):
            last.feed()
            last.wait(MAX_AGE_S)
            last.settle()
            if self.world.end() == self.world.logs[P0].high:
                return
        raise AssertionError(f"landed to {self.world.end()} of {self.world.logs[P0]}")

    def _start(self) -> Lander:
        lander = Lander(self.world)
        lander.assign(P0)
        return lander

    def _retain(self) -> None:
        log = self.world.logs[P0]
        log.low = max(log.low, (log.low + log.high) // 2)
        self.gone |= {offset for offset in log.offsets if offset < log.low}
        log.offsets = [offset for offset in log.offsets if offset >= log.low]

    def _answer(self, lander: Lander, what: str) -> None:
        if not lander.requests:
            return
        request = lander.requests[-1 if what == "reorder" else 0]
        if what in ("answer", "reorder") or (what != "fail" and not isinstance(request, Put)):
            lander.requests.remove(request)
            lander.tell(self.world.perform(request))
        elif what == "fail":
            lander.answer("scripted")
        else:
            if what == "lost ack":
                self.world.perform(request)
            lander.answer(PutOutcome.UNKNOWN if what == "lost ack" else PutOutcome(what))


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.sampled_from(STEPS)), max_size=120))
def test_two_landers_on_one_partition_never_lose_or_double(steps: list[tuple[int, str]]) -> None:
    race = Race()
    for who, what in steps:
        race.step(who, what)
    race.heal()
    race.check()
    log = race.world.logs[P0]
    assert set(log.offsets) <= set(race.world.landed())
