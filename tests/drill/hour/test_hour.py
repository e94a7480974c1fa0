"""A short hour: the real commands and servers as processes, the mock broker."""

from pathlib import Path

import pytest

from drill.hour.judge import judge, unplayed
from drill.hour.play import Player, hour
from drill.hour.truth import Record
from ingestion.contracts.topics import TOPICS
from tests.ingestion.produce.conftest import MockKafka, kafka, mock_environment

__all__ = ["kafka", "mock_environment"]  # fixtures

LENGTH_S = 40.0


def records(kafka: MockKafka) -> list[Record]:
    return [
        Record(topic, found.value() or b"", dict(found.headers() or ()), found.key() or b"")
        for topic in TOPICS
        for found in kafka.all(topic)
    ]


@pytest.mark.long
def test_a_short_hour_of_a_bad_day_is_in_kafka_once(
    kafka: MockKafka, mock_environment: dict[str, str], tmp_path: Path
) -> None:
    no_settings = {"TAPEHOUSE_ENV_FILE": str(tmp_path / "no-settings")}
    played = Player(hour(LENGTH_S), tmp_path, {**mock_environment, **no_settings}).play()

    verdict = judge(played.truth, records(kafka), played.texts)
    assert verdict.wrong == [], verdict.figures
    assert unplayed(played.truth) == []
    assert played.truth.mute_told == verdict.figures["mute_left"] == 1
    assert {code for name, code in played.codes if "TERM" in name} == {0}
    assert verdict.figures["copies"] > 0, "a restart sends again what was not seen confirmed"
