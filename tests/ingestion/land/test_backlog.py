"""What is asked of Kafka for people who wait for the answer."""

import pytest

from ingestion.errors import BrokerError
from ingestion.land import backlog
from ingestion.land.backlog import Backlog, Offsets
from ingestion.settings import KafkaSettings
from tests.ingestion.land.test_metrics import free_port


def test_a_broker_that_is_away_is_an_error_that_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "TIMEOUT_S", 0.5)
    settings = KafkaSettings.model_construct(port=free_port(), security_protocol="PLAINTEXT")
    one = Backlog(settings)
    with pytest.raises(BrokerError, match="Connection refused"):
        one.ask(["stock-quotes"])
    one.close()


def test_more_committed_than_the_log_holds_is_no_lag() -> None:
    assert Offsets(end=5, committed=9).lag == 0
