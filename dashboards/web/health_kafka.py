"""What Kafka says, asked as the auditor: topics, groups, lag, dead letters. Nothing is joined."""

from collections.abc import Collection, Mapping
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConsumerGroupDescription, ListConsumerGroupsResult

from audit.kafka import Kafka as Broker
from audit.model import Partition
from dashboards.web.health_model import DeadLetter, DeadLetters, Group, Kafka, Level, Topic
from ingestion.contracts.topics import TOPICS
from ingestion.produce.redrive import in_kafka
from ingestion.produce.redrive.letters import Letter
from ingestion.settings import KafkaSettings

TIMEOUT_S: Final = 2.0
# Landers commit every few seconds; what has not been landed for so many records is a backlog.
_BACKLOG: Final = 100_000
# A page is no place for a thousand consumer groups.
_MAX_GROUPS: Final = 20
_READ_LETTERS: Final = 1_000  # of each partition
_SHOWN_LETTERS: Final = 20
_MAX_DETAIL: Final = 200
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Marks = Mapping[Partition, tuple[int, int]]


class Cluster:
    """Kafka, by clients that are kept from one question to the next."""

    def __init__(self, settings: KafkaSettings) -> None:
        """Take the settings; nothing is connected yet.

        Raises:
            SettingsError: the auditor's password is not set.
        """
        self._settings = settings
        config = settings.client("auditor")
        self._broker = Broker(config, TIMEOUT_S)
        self._admin = AdminClient({**config, "log_level": 0})

    def close(self) -> None:
        """Close the connections."""
        self._broker.close()

    def kafka(self) -> Kafka:
        """Return topics and groups.

        Raises:
            UnreadableError, KafkaException: Kafka does not answer, or refuses the auditor.
        """
        places = self._broker.partitions(TOPICS)
        marks = self._broker.watermarks(places)
        topics = tuple(
            _topic(name, marks) for name in TOPICS if any(p.topic == name for p in marks)
        )
        listed = self._admin.list_consumer_groups(request_timeout=TIMEOUT_S).result()
        names, left_out = _chosen(listed, self._settings.landers_group)
        groups = tuple(self._groups(names, marks))
        missing = sorted(set(TOPICS) - {one.name for one in topics})
        level, problem = _judged(groups, missing, self._settings.landers_group)
        records = sum(one.records for one in topics)
        summary = f"{records:,} records in {len(topics)} topics{problem}{left_out}"
        return Kafka(level, summary, topics, groups)

    def dead_letters(self, records: int) -> DeadLetters:
        """Return the newest dead letters; `records` is how many records the topic has.

        Raises:
            BrokerError: Kafka does not answer, or refuses the auditor.
        """
        redriven: set[str | None] = set()
        letters: list[tuple[str, DeadLetter]] = []
        n_read = 0
        for letter in in_kafka.read(self._settings, TIMEOUT_S, "auditor", _READ_LETTERS):
            n_read += 1
            if letter.noted is None:
                letters.append((letter.id, _letter(letter)))
            redriven.add(letter.noted)
        # The note that a letter was re-driven lies behind it, so that it is among those read.
        told = [_noted(one) if key in redriven else one for key, one in reversed(letters)]
        waiting = sum(one.state != "redriven" for one in told)
        level, summary = _of_letters(records, n_read, len(told), waiting)
        return DeadLetters(level, summary, records, tuple(told[:_SHOWN_LETTERS]))

    def _groups(self, names: list[str], marks: Marks) -> list[Group]:
        landers = self._settings.landers_group
        asked = self._admin.describe_consumer_groups(names, request_timeout=TIMEOUT_S)
        found: list[Group] = []
        for name, answer in asked.items():
            members, state = _described(answer)
            committed = self._broker.committed(name)
            topics = set(TOPICS) if name == landers else {topic for topic, _ in committed}
            lags = _lags(marks, committed, topics)
            found += [Group(name, topic, members, state, lags[topic]) for topic in sorted(lags)]
        return found


def _chosen(listed: ListConsumerGroupsResult, landers: str) -> tuple[list[str], str]:
    """Return the groups that are shown, the landers' first, and what is said of the others.

    Raises:
        KafkaException: a broker has not said which groups it has.
    """
    for error in listed.errors or ():
        raise error
    others = sorted({one.group_id for one in listed.valid or ()} - {landers})
    names = [landers, *others[: _MAX_GROUPS - 1]]
    is_cut = len(names) <= len(others)
    return names, f"; {len(names)} of {1 + len(others)} groups are shown" if is_cut else ""


def _described(answer: "Future[ConsumerGroupDescription]") -> tuple[int, str]:
    """Return a group's members and state."""
    try:
        group = answer.result()
    except KafkaException as error:
        if error.args[0].code() != KafkaError.GROUP_ID_NOT_FOUND:
            raise
        return 0, "never seen"  # nobody has joined it yet
    return len(group.members), group.state.name.lower()


def _lags(
    marks: Marks, committed: Mapping[tuple[str, int], int], topics: Collection[str]
) -> dict[str, int]:
    """Return by topic what a group has not committed; what it has not begun counts whole."""
    lags: dict[str, int] = {}
    for place, (low, end) in marks.items():
        if place.topic in topics:
            done = max(low, committed.get((place.topic, place.partition), 0))
            # A topic that was made anew may have its former life's commit.
            lags[place.topic] = lags.get(place.topic, 0) + max(0, end - done)
    return lags


def _topic(name: str, marks: Marks) -> Topic:
    mine = [mark for place, mark in marks.items() if place.topic == name]
    return Topic(name, len(mine), sum(end - low for low, end in mine), sum(end for _, end in mine))


def _judged(groups: tuple[Group, ...], missing: list[str], landers: str) -> tuple[Level, str]:
    mine = [one for one in groups if one.name == landers]
    lag = sum(one.lag for one in mine)
    if missing:
        return "bad", f"; missing: {', '.join(missing)}"
    if lag and not any(one.members for one in mine):
        return "bad", f"; {lag:,} are not landed, and no lander runs"
    return ("warn" if lag >= _BACKLOG else "ok"), f"; {lag:,} not landed yet"


def _of_letters(records: int, n_read: int, n_letters: int, waiting: int) -> tuple[Level, str]:
    """Judge the letters among the newest ``n_read`` records of ``records``; others are notes."""
    how = "`python -m ingestion redrive list`"
    if waiting:
        return "warn", f"{waiting:,} of the newest {n_letters:,} wait: {how}"
    if n_read < records:
        return "warn", f"none of the newest {n_read:,} records waits; {records:,} in all: {how}"
    return "ok", f"{records:,} records, no letter is waiting"


def _letter(letter: Letter) -> DeadLetter:
    fields = letter.fields
    return DeadLetter(
        int(letter.place.rpartition("/")[2]),
        _EPOCH + timedelta(milliseconds=letter.timestamp),
        fields.get("source", ""),
        fields.get("reason", ""),
        fields.get("detail", "")[:_MAX_DETAIL],
        fields.get("topic", ""),
        "cut" if letter.is_cut else "waiting",
    )


def _noted(letter: DeadLetter) -> DeadLetter:
    return replace(letter, state="redriven")
