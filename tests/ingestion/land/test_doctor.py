"""The store doctor: sound stores pass, and each flaw is found by the check that is about it."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from infra.local import store as local_store
from ingestion import cli
from ingestion.clock import SystemClock
from ingestion.errors import StoreUnavailableError, StoreUnfitError
from ingestion.land.doctor import examination, stamp
from ingestion.land.doctor.examination import FULL, QUICK, examine
from ingestion.land.doctor.findings import Finding, Verdict, failures
from ingestion.land.doctor.site import GENERATION, Plan, Site
from ingestion.land.store import BronzeStore, connect
from ingestion.settings import StoreSettings
from tests.conftest import RunningStack
from tests.ingestion.land.fake_store import BRONZE, PLAIN, VERSIONED, Flaws, Object, Store, serving

PLAN = Plan(rounds=2, racers=4, processes=1, lists=8)
RACES = {"race of threads, plain", "race of threads, versioned"}
TAKEN = {"taken key, plain", "taken key, versioned"}
ASKED_BY_CHECKSUM = {"lander may", "lander may not", "nobody may"}


def settings_of(store: Store, kind: str = "s3") -> StoreSettings:
    return StoreSettings(
        kind=kind, endpoint=store.url, lander_access_key="key", lander_secret_key="secret"
    )


def examined(store: Store, clock: SystemClock | None = None) -> list[Finding]:
    return examine(Site.open(settings_of(store), clock or SystemClock(), PLAN))


def name_of(flaws: Flaws) -> str:
    return next(name for name, value in asdict(flaws).items() if value)


def failed(findings: list[Finding]) -> set[str]:
    return {finding.check for finding in failures(findings)}


def test_a_sound_store_passes_every_check_and_is_left_as_it_was() -> None:
    with serving(Flaws()) as store:
        findings = examined(store)
    assert {finding.verdict for finding in findings} == {Verdict.OK}, findings
    assert store.is_empty()


@pytest.mark.parametrize(
    ("flaws", "checks"),
    [
        (Flaws(writes_after_looking=True), RACES),
        (Flaws(looks_before_the_body=True), RACES),
        (Flaws(ignores_conditions=True), RACES | TAKEN),
        (Flaws(keeps_the_losers_bytes=True), RACES | TAKEN),
        (Flaws(start_after_is_inclusive=True), {"pages of a listing"}),
        (Flaws(forgets_a_page=True), {"pages of a listing"}),
        (Flaws(repeats_a_page=True), {"pages of a listing"}),
        (Flaws(loses_metadata="max-timestamp"), {"read after write"}),
        (Flaws(another_etag_in_listings=True), {"read after write"}),
        (Flaws(believes_checksums=True), {"checksums", *ASKED_BY_CHECKSUM}),
        (Flaws(keeps_half_uploads=True), {"truncated upload", "checksums"}),
        (Flaws(serves_anybody=True), {"lander may not", "nobody may"}),
        (Flaws(lander_writes_lake=True), {"lander may not"}),
        (Flaws(lander_deletes_bronze=True), {"lander may not"}),
        (Flaws(lander_only_reads=True), {"lander may"}),
        (Flaws(without_versions=True), {"versions in bronze"}),
        (Flaws(never_deletes=True), {"clean-up"}),
        (Flaws(lacks_bucket=PLAIN), {"buckets"}),
        (Flaws(clock_is_ahead_s=400), {"clock"}),
    ],
    ids=lambda value: name_of(value) if isinstance(value, Flaws) else "",
)
def test_a_flaw_is_found_by_its_check(flaws: Flaws, checks: set[str]) -> None:
    with serving(flaws) as store:
        findings = examined(store)
    assert failed(findings) == checks, findings
    assert not store.buckets[BRONZE], "the doctor has left something in bronze"


class Later(SystemClock):
    """A machine whose clock can be put forward."""

    later = timedelta()

    def now(self) -> datetime:
        return super().now() + self.later


def test_a_clock_that_is_somewhat_wrong_is_a_warning() -> None:
    clock = Later()
    clock.later = timedelta(seconds=100)
    with serving(Flaws()) as store:
        findings = examined(store, clock)
    assert findings[0].verdict is Verdict.WARNING
    assert "-10" in findings[0].measured
    assert failed(findings) == set()


def test_what_a_killed_run_left_is_removed_and_a_running_ones_is_not() -> None:
    now = SystemClock().now()
    old, young = (
        f"{now - timedelta(hours=hours):%Y%m%dT%H%M%SZ}-0badcafe/g={GENERATION}/p=00000/0"
        for hours in (2, 0.5)
    )
    foreign = "somebody/else"
    with serving(Flaws()) as store:
        for bucket in (PLAIN, VERSIONED):
            for key in (old, young, foreign):
                store.write(bucket, key, Object(b"", {}, "1"))
        assert failed(examined(store)) == set()
    assert [set(store.buckets[b]) for b in (PLAIN, VERSIONED)] == [{young, foreign}] * 2


@dataclass
class Doctor:
    """Counts examinations, and finds what it is told to."""

    verdict: Verdict = Verdict.OK
    examined: int = 0

    def __call__(self, site: Site) -> list[Finding]:
        self.examined += 1
        return [Finding(f"check {n}", self.verdict, f"measured {n}", 0.0) for n in range(5)]


def require(
    store: Store,
    run: Path,
    doctor: Callable[[Site], list[Finding]] = examine,
    clock: SystemClock | None = None,
) -> None:
    """Start as a lander does."""
    stamp.require_fit(settings_of(store), "Fake", run, clock or SystemClock(), doctor)


@pytest.fixture(scope="module")
def sound() -> Iterator[Store]:
    with serving(Flaws()) as store:
        yield store


def test_a_store_is_examined_once(sound: Store, tmp_path: Path) -> None:
    require(sound, tmp_path)
    before = sound.requests
    require(sound, tmp_path)
    assert sound.requests == before, "a lander on a known store must not wait for anything"


def test_landers_that_start_at_once_have_a_store_examined_once(
    sound: Store, tmp_path: Path
) -> None:
    doctor, together = Doctor(), threading.Barrier(4)

    def start(_: int) -> None:
        together.wait(10)
        require(sound, tmp_path, doctor)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(start, range(4)))
    assert doctor.examined == 1


@pytest.mark.parametrize("change", ["server", "endpoint", "identity", "age", "checks"])
def test_a_changed_store_is_examined_again(
    sound: Store, tmp_path: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    doctor, clock, settings = Doctor(), Later(), settings_of(sound)
    require(sound, tmp_path, doctor, clock)
    if change == "endpoint":
        settings = settings.model_copy(update={"endpoint": "http://127.0.0.1:9"})
    if change == "identity":
        settings = settings.model_copy(update={"lander_access_key": "other"})
    if change == "checks":
        monkeypatch.setattr(examination, "VERSION", examination.VERSION + 1)
    clock.later = timedelta(days=8 if change == "age" else 6)
    server = "Fake 2" if change == "server" else "Fake"
    stamp.require_fit(settings, server, tmp_path, clock, doctor)
    assert doctor.examined == 2


def test_a_store_that_failed_is_refused_until_the_command_has_passed(
    sound: Store, tmp_path: Path
) -> None:
    bad, good, clock = Doctor(Verdict.FAILED), Doctor(), Later()
    for _ in range(2):
        with pytest.raises(StoreUnfitError, match=r"check 0: measured 0.*ingestion doctor"):
            require(sound, tmp_path, bad)
    clock.later = timedelta(days=30)
    with pytest.raises(StoreUnfitError):
        require(sound, tmp_path, good, clock)
    assert (bad.examined, good.examined) == (1, 0)


def test_a_race_that_was_lost_before_the_store_fell_silent_is_not_forgotten(tmp_path: Path) -> None:
    with serving(Flaws(writes_after_looking=True)) as store:

        def fall_silent(finding: Finding) -> None:
            if finding.verdict is Verdict.FAILED:
                store.flaws = Flaws(answers_503=True)

        with pytest.raises(StoreUnfitError, match="race of threads, plain"):
            require(store, tmp_path, lambda site: examine(site, fall_silent))
        store.flaws = Flaws()
        with pytest.raises(StoreUnfitError, match="race of threads, plain"):
            require(store, tmp_path)


LITTLE = Plan(rounds=1, racers=2, processes=1, lists=1)


@pytest.mark.parametrize(
    ("has_failed", "plan", "is_fit"),
    [
        (False, LITTLE, False),
        (False, QUICK, True),
        (False, replace(FULL, lists=QUICK.lists - 1), False),
        (True, QUICK, False),
        (True, replace(FULL, processes=1), False),
        (True, FULL, True),
    ],
)
def test_a_pass_counts_if_it_was_asked_for_enough(
    sound: Store, tmp_path: Path, has_failed: bool, plan: Plan, is_fit: bool
) -> None:
    stamps, good = stamp.Stamps(tmp_path, SystemClock()), Doctor()
    subject = stamp.Subject.of(settings_of(sound), "Fake")
    site = Site.open(settings_of(sound), SystemClock(), plan)
    if has_failed:
        assert stamps.enter(subject, Doctor(Verdict.FAILED)(site), LITTLE)
    assert stamps.enter(subject, good(site), plan) == is_fit
    assert stamps.passed(subject) == is_fit
    assert bool(stamps.failed(subject)) == (has_failed and not is_fit)


def test_a_pass_of_the_command_is_the_landers_or_says_that_it_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(Flaws(front_answers_strangers=True)) as store:
        settings = settings_of(store)
        monkeypatch.setenv("STORE_ENDPOINT", store.url)
        monkeypatch.setenv("STORE_KIND", "s3")
        monkeypatch.setenv("STORE_LANDER_ACCESS_KEY", "key")
        monkeypatch.setenv("STORE_LANDER_SECRET_KEY", "secret")
        monkeypatch.setenv("TAPEHOUSE_STATE_DIR", str(tmp_path))
        little = command("--rounds", "1", "--racers", "2", "--processes", "1", "--lists", "1")
        assert little.exit_code == 0, little.output
        assert "--rounds 10 --racers 8" in little.output.replace(",", "")
        enough = command("--rounds", "10", "--racers", "8", "--processes", "1", "--lists", "20")
        assert "the store is fit for landing" in enough.output
        doctor, bronze = Doctor(), BronzeStore(connect(settings, "lander"), BRONZE)
        stamp.require_fit(settings, bronze.check(), tmp_path / "run", SystemClock(), doctor)
    assert doctor.examined == 0


def command(*arguments: str) -> Result:
    return CliRunner().invoke(cli._application("doctor"), list(arguments))


def test_a_store_that_could_not_be_reached_is_tried_again(tmp_path: Path) -> None:
    with serving(Flaws(lacks_bucket=PLAIN)) as store:
        with pytest.raises(StoreUnfitError, match=r"buckets: .*NoSuchBucket"):
            require(store, tmp_path)
        store.flaws = Flaws()
        require(store, tmp_path)


def test_a_store_that_does_not_answer_is_neither_fit_nor_unfit(tmp_path: Path) -> None:
    with serving(Flaws(answers_503=True)) as store, pytest.raises(StoreUnavailableError):
        require(store, tmp_path)
    assert not (tmp_path / "store-doctor.json").exists()


def test_the_stamp_holds_no_credential(sound: Store, tmp_path: Path) -> None:
    settings = settings_of(sound).model_copy(update={"lander_access_key": "AKIDEXAMPLE"})
    stamp.require_fit(settings, "Fake", tmp_path, SystemClock(), Doctor())
    text = (tmp_path / "store-doctor.json").read_text()
    assert sound.url in text
    assert "AKIDEXAMPLE" not in text


@pytest.mark.integration
def test_minio_passes_and_nothing_is_left_behind(stack: RunningStack, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    amount = ("--rounds", "12", "--racers", "8", "--processes", "2", "--lists", "40")
    done = stack.run("ingestion", "doctor", *amount, "--report", str(report))
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(report.read_text())
    assert found["verdict"] == "ok"
    assert {check["verdict"] for check in found["checks"]} == {"ok"}, found
    names = {check["check"] for check in found["checks"]}
    assert {"race of processes, plain", "race of processes, versioned"} <= names
    root = local_store.client(stack.layout, "root")
    for bucket in (PLAIN, VERSIONED):
        assert not root.list_object_versions(Bucket=bucket).get("Versions")


@pytest.mark.integration
def test_the_command_names_what_failed_and_exits_1(stack: RunningStack, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    amount = ("--rounds", "2", "--racers", "4", "--processes", "2", "--lists", "5")
    with serving(Flaws(writes_after_looking=True)) as fake, pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORE_ENDPOINT", fake.url)
        patch.setenv("STORE_KIND", "s3")
        done = stack.run("ingestion", "doctor", *amount, "--report", str(report))
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    unfit = f"error: the store at {fake.url} is not fit for landing: race of threads, plain"
    assert line.startswith(unfit)
    assert "race of processes, versioned" in line
    assert "writers were told that they won" in done.stdout
    assert json.loads(report.read_text())["verdict"] == "failed"
