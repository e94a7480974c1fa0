"""The sampler: what it must notice while others work, and what it must not take for a fault."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, KafkaException

from audit.errors import UnreadableError
from audit.kafka import Kafka
from audit.listing import Store, Version
from audit.model import Partition
from audit.run import TOPICS
from audit.sightings import Finding, Moment, Sightings, Tally, ahead
from audit.watch import Options, Sampler, Watch
from tests.audit.test_command import ROOT, audit, nowhere
from tests.audit.test_plants import (
    commit_ahead,
    object_deleted,
    object_hidden_by_a_delete_marker,
    object_overwritten_by_the_landing_identity,
)
from tests.audit.world import BATCH, REALTIME, World

__all__ = ["nowhere"]
GENERATION = "0123456789abcdef0123456789abcdef"
OLD = GENERATION[::-1]


def version(start: int, etag: str = "e", name: str = "v", **changes: bool) -> Version:
    key = f"t/g={GENERATION}/p=00000/{start:020d}.jsonl.zst"
    return replace(Version(key, name, etag, 1, "now", latest=True), **changes)


def texts(findings: list[Finding]) -> list[str]:
    return [finding.text.partition(".zst ")[2].partition(":")[0] for finding in findings]


@pytest.mark.parametrize(
    ("later", "said"),
    [
        ([version(0)], ["was there and is not any more"]),
        ([version(0), version(4, "other")], ["is not what it was"]),
        ([version(0), version(4), version(4, name="w")], ["was overwritten"]),
        ([version(0), version(4), version(4, name="w", marker=True)], ["was deleted"]),
        ([version(0), version(4), version(8)], []),
    ],
)
def test_what_was_seen_has_to_stay(later: list[Version], said: list[str]) -> None:
    seen = Sightings()
    assert seen.see([version(0), version(4)], is_all=True) == []
    assert texts(seen.see(later, is_all=True)) == said


def test_a_listing_of_new_keys_says_nothing_of_the_others() -> None:
    seen = Sightings()
    seen.see([version(0)])
    assert seen.see([version(4)]) == []
    assert seen.last(Partition("t", GENERATION, 0)) == version(4).key


def test_a_commit_may_reach_the_furthest_generation_of_its_topic_and_no_further() -> None:
    ends = {Partition("t", OLD, 0): 9, Partition("t", GENERATION, 0): 2, Partition("t", OLD, 1): 1}
    assert ahead({("t", 0): 9, ("t", 1): 1}, ends) == []
    assert [found.subject for found in ahead({("t", 0): 10, ("t", 2): 1}, ends)] == ["t/0", "t/2"]


def test_the_longest_time_without_a_sample_counts_from_the_begin_to_the_end() -> None:
    tally = Tally(seen_until=100.0)
    for at, clock in (("a", 101.0), ("b", 108.0), ("c", 109.0)):
        tally.take([], Moment(at, clock))
    tally.miss("no answer")
    found = tally.document()
    assert (found["first_at"], found["last_at"], found["longest_blind_s"]) == ("a", "c", 7.0)
    tally.end(120.0)
    assert tally.longest_blind_s == 11.0


@pytest.mark.parametrize(
    ("options", "lacks"),
    [
        ({}, []),
        ({"least_samples": 2, "longest_blind_s": 30.0}, []),
        ({"least_samples": 3}, ["I4: expected 3 samples or more, found 2"]),
        (
            {"longest_blind_s": 29.0},
            ["I4: expected a sample at least every 29 s, found none for 30.0 s"],
        ),
    ],
)
def test_a_watch_that_saw_too_little_is_unknown(
    options: dict[str, float], lacks: list[str]
) -> None:
    watch = Watch(replace(Options("landers"), **options), Moment("begin", 0.0))
    watch.shown, watch.committed, watch.is_closed = set(TOPICS), {("t", 0)}, True
    for clock in (10.0, 20.0, 40.0):
        watch.stays.take([], Moment("then", clock))
    for clock in (10.0, 40.0):
        watch.commits.take([], Moment("then", clock))
    assert watch.lacks() == watch.document()["lacks"] == lacks
    assert watch.verdict == ("unknown" if lacks else "ok")


@pytest.fixture
def sampler(world: World) -> Iterator[Sampler]:
    world.commit(BATCH, 1, 4)
    made = Sampler(world.settings, Options("landers", every_s=0.05), lambda _: None)
    made.sample()
    assert made.watch.stays.violations == made.watch.commits.violations == 0
    yield made
    made.close()


def subjects(sampler: Sampler, name: str) -> list[str]:
    sampler.closing()
    assert sampler.watch.verdict == "violated"
    return [one["subject"] for one in sampler.watch.document()[name]["examples"]]


@pytest.mark.integration
def test_a_store_where_nothing_changes_is_ok(world: World, sampler: Sampler) -> None:
    sampler.sample()
    sampler.closing()
    assert sampler.watch.verdict == "ok"
    assert len(sampler.watch.sightings) == world.object_count()
    assert (sampler.watch.stays.samples, sampler.watch.commits.samples) == (3, 3)


@pytest.mark.integration
def test_only_what_is_behind_a_key_is_listed(world: World) -> None:
    store, prefix = Store(world.settings), f"{BATCH}/"
    first, second = world.key(BATCH, 0, 0), world.key(BATCH, 0, 4)
    for listed in (store.versions, store.objects):
        keys = [version.key for version in listed(prefix, first)]
        assert keys[0] == second
        assert first not in keys
        assert {key.partition("/")[0] for key in keys} == {BATCH}


@pytest.mark.integration
def test_commits_are_judged_where_the_partitions_are_not_told(
    world: World, sampler: Sampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = world.object(BATCH, 0, 0, 11, [0])
    extra = replace(extra, key=extra.key.replace(world.generations[BATCH], GENERATION))
    monkeypatch.setattr("audit.kafka.AdminClient.list_topics", no_answer)
    world.put(extra)  # of a topic that was created again since it was asked for
    with commit_ahead(world):
        sampler.sample()
    world.erase(extra.key)
    assert (sampler.watch.commits.samples, sampler.watch.commits.unknown) == (2, 0)
    assert sampler.watch.commits.violations == 0, "the new key was seen"


def no_answer(*_arguments: object, **_named: object) -> None:
    raise KafkaException(KafkaError(KafkaError._TRANSPORT))


@pytest.mark.integration
def test_who_got_no_answer_is_replaced(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    kafka = Kafka(world.settings.kafka())
    asked: list[object] = []
    monkeypatch.setattr(
        "audit.kafka.AdminClient.list_topics", lambda me, **_: asked.append(me) or no_answer()
    )
    for _ in range(2):
        with pytest.raises(UnreadableError, match="topics cannot be read"):
            kafka.partitions([BATCH])
    kafka.close()
    assert len(set(map(id, asked))) == 2


@pytest.mark.integration
def test_an_object_that_vanishes_between_two_samples_is_named(
    world: World, sampler: Sampler
) -> None:
    with object_deleted(world):
        assert subjects(sampler, "I3") == [world.key(BATCH, 0, 4)]


@pytest.mark.integration
def test_a_deleted_and_an_overwritten_object_are_named(world: World, sampler: Sampler) -> None:
    with (
        object_hidden_by_a_delete_marker(world),
        object_overwritten_by_the_landing_identity(world),
    ):
        found = subjects(sampler, "I3")
    assert set(found) == {world.key(REALTIME, 0, 0), world.key(BATCH, 1, 4)}


@pytest.mark.integration
def test_a_new_object_that_has_two_versions_is_named_by_the_next_sample(
    world: World, sampler: Sampler
) -> None:
    extra = world.object(BATCH, 0, 10, 11, [10])
    world.put(extra)
    world.put(extra)
    sampler.sample()
    world.erase(extra.key)
    assert [one["subject"] for one in sampler.watch.stays.document()["examples"]] == [extra.key]


@pytest.mark.integration
def test_a_commit_ahead_of_the_store_is_named_once_with_its_first_time(
    world: World, sampler: Sampler
) -> None:
    with commit_ahead(world):
        sampler.sample()
        sampler.sample()
    (example,) = sampler.watch.commits.document()["examples"]
    assert (example["subject"], example["samples"]) == (f"{BATCH}/0", 2)
    assert example["what"].endswith("committed 11, bronze reaches 10")


@pytest.mark.integration
def test_a_topic_created_anew_may_have_the_commit_of_what_was_landed_just_before(
    world: World, sampler: Sampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = world.object(BATCH, 0, 10, 11, [10])
    now = [
        place._replace(generation=OLD) if place.topic == BATCH else place
        for place in sampler._kafka.partitions(TOPICS)
    ]
    with commit_ahead(world):
        world.put(extra)
        monkeypatch.setattr(sampler._kafka, "partitions", lambda _: now)
        sampler.sample()
    world.erase(extra.key)
    assert sampler.watch.commits.violations == 0


@pytest.mark.integration
def test_the_command_reports_and_exits_by_what_it_saw(world: World, tmp_path: Path) -> None:
    world.commit(BATCH, 1, 4)
    report = tmp_path / "watch.json"
    found = audit(world.env_file, "watch", "--seconds", "0.3", "--every", "0.1", "--report", report)
    assert found.returncode == 0, found.stdout + found.stderr
    assert json.loads(report.read_text())["verdict"] == "ok"
    asked = ("--least-samples", "1000", "--longest-blind", "0")
    found = audit(world.env_file, "watch", "--seconds", "0.3", "--report", report, *asked)
    assert found.returncode == 2
    for name in ("I3", "I4"):
        assert f"unknown   {name}: expected 1000 samples or more, found " in found.stdout
        assert f"unknown   {name}: expected a sample at least every 0 s, found " in found.stdout
        seen = json.loads(report.read_text())[name]
        assert seen["samples"] > 0 == seen["unknown"]
        assert seen["longest_blind_s"] > 0
        assert seen["first_at"] <= seen["last_at"]
    assert found.stdout.endswith("watch: UNKNOWN (unknown samples: 0 of I3, 0 of I4)\n")
    with commit_ahead(world):
        found = audit(world.env_file, "watch", "--seconds", "0")
    assert found.returncode == 1
    assert "bronze reaches 10" in found.stderr
    found = audit(world.env_file, "watch", "--seconds", "0", "--group", "nobody")
    assert found.returncode == 2
    assert "group nobody has committed nothing" in found.stdout


@pytest.mark.integration
def test_a_watch_that_is_told_to_end_reports_what_it_saw(world: World, tmp_path: Path) -> None:
    world.commit(BATCH, 1, 4)
    report = world.settings.state("audit", "watch.json")
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "audit", "watch", "--until-file", tmp_path / "end"]
    with subprocess.Popen(
        command, cwd=ROOT, env={"TAPEHOUSE_ENV_FILE": str(world.env_file)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        assert process.stderr.readline().startswith("watching")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert json.loads(report.read_text())["I3"]["keys"] == world.object_count()


def test_storages_that_do_not_answer_are_unknown_and_never_ok(nowhere: Path) -> None:
    with nowhere.open("a") as file:
        file.write("STORE_AUDITOR_ACCESS_KEY=a\nSTORE_AUDITOR_SECRET_KEY=b\n")
        file.write("KAFKA_SECURITY_PROTOCOL=PLAINTEXT\n")
    found = audit(nowhere, "watch", "--seconds", "0", "--every", "0.05")
    assert found.returncode == 2
    seen = json.loads((nowhere.parent / "var/audit/watch.json").read_text())
    assert seen["verdict"] == "unknown"
    assert seen["I3"]["samples"] == seen["I4"]["samples"] == 0
    assert seen["I3"]["unknown"] > 0
    assert "STORE_PORT" in seen["I3"]["reason"]
