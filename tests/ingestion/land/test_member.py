"""What a member makes of the errors that its client hands over; the rest needs a real broker."""

import pytest
from confluent_kafka import KafkaError

from ingestion.clock import Clock, SystemClock
from ingestion.errors import BrokerError
from ingestion.land.connection import Connection
from ingestion.land.member import Member
from tests.ingestion.land.test_questions import settings
from tests.ingestion.land.test_status import FakeClock


class Told:
    """A message that only carries an error."""

    def __init__(self, code: int, text: str) -> None:
        self.found = KafkaError(code, text)

    def error(self) -> KafkaError:
        return self.found

    def topic(self) -> None: ...
    def partition(self) -> None: ...
    def offset(self) -> None: ...


def member(clock: Clock | None = None) -> Member:
    clock = clock or SystemClock()
    return Member(Connection(settings(), clock), clock)


def test_a_client_that_gave_up_ends_the_lander() -> None:
    one = member()

    with pytest.raises(BrokerError, match="gave up"):
        list(one.events([Told(KafkaError._FATAL, "the group is of another kind")]))

    one.close()


def test_why_the_group_refuses_a_member_is_kept_with_its_beginning() -> None:
    clock = FakeClock()
    one = member(clock)
    assert one.failure is None
    for text in ("not authorised", "still not"):
        clock.sleep(5.0)
        assert list(one.events([Told(KafkaError.GROUP_AUTHORIZATION_FAILED, text)])) == []
    assert one.failure == (5.0, "still not")
    one.close()
