import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from pydantic import SecretStr

from ingestion.errors import SettingsError
from ingestion.limits.guards import Guards, budget_of
from ingestion.limits.limit import BUDGETS, Limit
from ingestion.limits.overview import AccountState, overview
from ingestion.settings import ROOT, LimitsSettings
from ingestion.sources.provider import ProviderDownError, RateLimitedError
from tests.ingestion.limits.conftest import NOW, Rig

KEY = SecretStr("pk_live_0123456789")
SETTINGS = LimitsSettings(alphavantage="3/day,1/second", attempts=1, breaker_failures=2)


def guards(rig: Rig) -> Guards:
    return Guards(rig.file, SETTINGS, rig.clock, lambda: False)


def down() -> str:
    raise ProviderDownError("no answer")


def refuse() -> str:
    raise RateLimitedError("429", retry_after_s=90.0, scope="minute")


def of(found: list[AccountState], provider: str) -> AccountState:
    (account,) = [account for account in found if account.provider == provider]
    return account


def test_it_tells_limits_holds_and_breakers_and_nothing_of_the_key(rig: Rig) -> None:
    made = guards(rig)
    made.guard("alphavantage", "https://www.alphavantage.co", KEY).call(lambda: "ok")
    yahoo = made.guard("yahoo", "https://query2.finance.yahoo.com")
    for _ in range(2):
        with pytest.raises(ProviderDownError):
            yahoo.call(down)
    with pytest.raises(RateLimitedError):
        made.guard("finnhub", "https://finnhub.io", KEY).call(refuse)

    found = overview(rig.folder, SETTINGS, NOW)

    alphavantage = of(found, "alphavantage")
    assert alphavantage.host == "www.alphavantage.co"
    assert [(one.limit, one.used, one.left, one.free_at) for one in alphavantage.limits] == [
        ("3/day", 1, 2, None),
        ("1/second", 1, 0, "2026-03-02T15:00:01.051000Z"),
    ]
    assert of(found, "finnhub").held_until == "2026-03-02T15:01:30.000000Z"
    assert of(found, "finnhub").held_for == "minute"
    assert {one.free_at for one in of(found, "finnhub").limits} == {"2026-03-02T15:01:30.000000Z"}
    breaker = of(found, "yahoo")
    assert (breaker.breaker, breaker.failures) == ("open", 2)
    assert breaker.tried_at == "2026-03-02T15:01:00.000000Z"
    assert {one.free_at for one in breaker.limits} == {breaker.tried_at}
    assert b"pk_live" not in msgspec.json.encode(found)


def test_before_the_first_request_every_budget_is_whole(tmp_path: Path) -> None:
    found = overview(tmp_path / "none", LimitsSettings(), NOW)

    assert [account.provider for account in found] == sorted(BUDGETS)
    assert all(limit.used == 0 and limit.left > 0 for one in found for limit in one.limits)
    assert not (tmp_path / "none").exists()


def test_a_setting_takes_the_place_of_the_declared_limits() -> None:
    found = budget_of("alphavantage", SETTINGS)

    assert found.limits == (Limit(3, "day"), Limit(1, "second"))
    assert found.day_zone == BUDGETS["alphavantage"].day_zone


@pytest.mark.parametrize(
    ("url", "limits"),
    [
        ("https://query2.finance.yahoo.com", BUDGETS["yahoo"].limits),
        ("http://localhost.example.org:8610", BUDGETS["yahoo"].limits),
        ("http://127.0.0.1@example.org", BUDGETS["yahoo"].limits),
        ("http://127.0.0.1:8610", (Limit(100, "second"),)),
        ("http://localhost", (Limit(100, "second"),)),
        ("http://[::1]:8610/", (Limit(100, "second"),)),
    ],
)
def test_a_server_on_this_machine_has_limits_of_its_own(
    rig: Rig, url: str, limits: tuple[Limit, ...]
) -> None:
    guard = Guards(rig.file, LimitsSettings(), rig.clock, lambda: False).guard("yahoo", url)
    left = guard.facts()["left"]
    account = of(overview(rig.folder, LimitsSettings(), NOW), "yahoo")

    assert left == {str(limit): limit.count for limit in limits}
    assert [one.limit for one in account.limits] == [str(limit) for limit in limits]


@pytest.mark.parametrize("provider", ["finnhub", "alphavantage"])
def test_a_local_server_that_keeps_the_free_plan_is_asked_within_it(provider: str) -> None:
    assert budget_of(provider, LimitsSettings(), "127.0.0.1:8611") == BUDGETS[provider]
    assert budget_of("yahoo", LimitsSettings(yahoo="1/day"), "127.0.0.1").limits == (
        Limit(1, "day"),
    )


def test_every_declared_provider_can_be_set() -> None:
    assert set(BUDGETS) <= set(LimitsSettings.model_fields)


def test_a_malformed_setting_and_an_unknown_provider_are_told() -> None:
    with pytest.raises(SettingsError, match="LIMITS_YAHOO"):
        budget_of("yahoo", LimitsSettings(yahoo="fast"))
    with pytest.raises(SettingsError, match="expected one of alphavantage"):
        budget_of("bloomberg", SETTINGS)


@pytest.mark.parametrize("arguments", [["--json"], []])
def test_the_command_tells_it(tmp_path: Path, arguments: list[str]) -> None:
    environment = os.environ | {
        "TAPEHOUSE_STATE_DIR": str(tmp_path),
        "TAPEHOUSE_ENV_FILE": str(tmp_path / "none"),
        "LIMITS_FINNHUB": "7/minute",
    }
    command = [sys.executable, "-m", "ingestion", "budget", *arguments]

    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )

    if arguments:
        document = json.loads(done.stdout)
        (finnhub,) = [one for one in document if one["provider"] == "finnhub"]
        assert finnhub["limits"] == [{"limit": "7/minute", "used": 0, "left": 7, "free_at": None}]
    else:
        assert "7/minute" in done.stdout
