"""The ends of logs that a lander tells: also where it does not read."""

from dataclasses import dataclass, field

import pytest

from ingestion.land.chain import Phase
from ingestion.land.ends import ASK_EVERY_S, Ends
from ingestion.land.protocol import Answer, Failed, Partition, Request, Watermarks
from tests.ingestion.land.test_status import FakeClock
from tests.ingestion.land.world import P0, P1, Lander, Log, World, following

SEEN = {P0: 3, P1: 4}


@dataclass
class Kafka:
    """A consumer that saw the ends of before, and a worker that answers when told to."""

    high: int | None = None
    asked: list[Request] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)

    def known_end(self, partition: Partition) -> int | None:
        return SEEN[partition]

    def submit(self, request: Request) -> None:
        self.asked.append(request)

    def answer(self, _: float = 0.0) -> Answer | None:
        return self.answers.pop(0) if self.answers else None

    def answer_all(self) -> None:
        for one in self.asked:
            place = one.partition, one.request
            answer = (
                Failed(*place, "away") if self.high is None else Watermarks(*place, 0, self.high)
            )
            self.answers.append(answer)
        self.asked = []


@pytest.fixture
def lander() -> Lander:
    return following(World({P0: Log(), P1: Log()}), P0, P1)


def test_while_it_reads_the_ends_are_those_that_it_sees(lander: Lander) -> None:
    kafka, clock = Kafka(), FakeClock()
    ends = Ends(kafka, kafka, clock)  # type: ignore[arg-type]  # a fake
    clock.sleep(ASK_EVERY_S)
    assert ends.known(lander.core) == SEEN
    assert kafka.asked == []


def test_where_it_does_not_read_kafka_is_asked_and_one_question_is_under_way(
    lander: Lander,
) -> None:
    kafka, clock = Kafka(), FakeClock()
    ends = Ends(kafka, kafka, clock)  # type: ignore[arg-type]  # a fake
    lander.core.chains[P1].phase = Phase.STALLED
    for _ in range(3):
        clock.sleep(ASK_EVERY_S)
        assert ends.known(lander.core) == SEEN
        assert [one.partition for one in kafka.asked] == [P1]
    kafka.high = 900
    kafka.answer_all()
    assert ends.known(lander.core) == {P0: 3, P1: 900}

    kafka.answer_all()
    lander.core.paused = True
    clock.sleep(ASK_EVERY_S)
    assert ends.known(lander.core) == {P0: 3, P1: 900}
    kafka.answer_all()
    assert ends.known(lander.core) == {P0: 900, P1: 900}


def test_a_broker_that_is_away_is_asked_again_and_what_was_seen_stands(lander: Lander) -> None:
    kafka, clock = Kafka(), FakeClock()
    ends = Ends(kafka, kafka, clock)  # type: ignore[arg-type]  # a fake
    lander.core.paused = True
    for _ in range(2):
        clock.sleep(ASK_EVERY_S)
        assert ends.known(lander.core) == SEEN
        assert len(kafka.asked) == 2
        kafka.answer_all()
        assert ends.known(lander.core) == SEEN
