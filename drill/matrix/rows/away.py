"""Rows 13, 15 and 18: a store that is away, slow, or refuses."""

import json
import secrets
import time
from collections.abc import Sequence
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError
from minio.minioadmin import MinioAdmin

from drill.matrix.members import Member, Orders
from drill.matrix.proxy.rules import Action, Rule
from drill.matrix.row import Row
from drill.matrix.rows.through import behind_proxy, expect_alarm, fails, heal, prove_done
from drill.matrix.sampling import MIB, RSS_LIMIT, Sampler, rss
from drill.matrix.stage import Stage
from infra.local import store
from ingestion.land.member import BATCH
from ingestion.land.store import connect
from ingestion.settings import LandSettings, StoreSettings

_BUDGET: Final = 2 * MIB
_SMALL: Final = (("LAND_BUDGET_BYTES", str(_BUDGET)), ("LAND_MAX_BYTES", str(_BUDGET // 4)))
# A batch may come in when all but a byte of the budget is used.
_HELD: Final = _BUDGET + BATCH * 2**10
# The product's bound at its default budget, less what this budget is smaller.
_RSS: Final = RSS_LIMIT - (LandSettings.model_fields["budget_bytes"].default - _BUDGET)
_SLOW_S: Final = (2.0, 30.0)
_SLOW_PUTS: Final = 20
_HALF_OPEN: Final = 1  # of each kind
_NOTICED_S: Final = 90.0  # a half-open socket costs a lander's read timeout of 60 s, once


def down(stage: Stage) -> None:
    """Take the store away for longer than the landers' memory lasts."""
    landers = stage.landers(2, Orders(settings=_SMALL))
    stage.steady()
    stage.blinds("no store", stage.options.store_outage_s, "I3", "I4")
    before = max(map(rss, landers))
    with Sampler(landers) as samples:
        began = time.monotonic()
        stage.cluster.store.kill()
        stage.prove("the store refuses connections", lambda: _says(stage) == "refused")
        stage.prove("every lander names the store's silence", lambda: all(map(fails, landers)), 60)
        stage.expect("a lander has paused: its budget is spent", lambda: samples.was_paused, 120)
        _wait_out(stage, began)
        stage.notes["down_s"] = round(time.monotonic() - began, 1)
        stage.cluster.store.start()
        stage.healed()
        stage.catch_up()
    _told_memory(stage, samples, before)
    stage.expect(
        f"no lander held more than {_HELD / MIB:.1f} MiB of records",
        lambda: samples.buffered <= _HELD,
        0,
    )
    stage.expect(f"nor {_RSS / MIB:.0f} MiB of memory", lambda: samples.rss <= _RSS, 0)
    stage.expect("no lander is paused any more", lambda: not any(map(_pauses, landers)))


def slow(stage: Stage) -> None:
    """Let PUTs take 2 to 30 s and some never end, until the landers must stop reading."""
    proxy = behind_proxy(stage, _SMALL)
    groups = _rebalances(stage.members)
    with Sampler(stage.members) as samples:
        put = ("PUT", "/bronze")
        proxy.inject(
            Rule("half-open", Action.APPLY_SWALLOW, *put, count=_HALF_OPEN),
            Rule("swallowed", Action.SWALLOW, *put, count=_HALF_OPEN),
            Rule("slow", Action.DELAY_BEFORE, *put, seed=stage.options.seed, seconds=_SLOW_S),
        )
        prove_done(stage, proxy, "half-open", "PUTs applied and never answered", _HALF_OPEN)
        prove_done(stage, proxy, "swallowed", "PUTs neither applied nor answered", _HALF_OPEN)
        prove_done(stage, proxy, "slow", "PUTs held up for 2 to 30 s", _SLOW_PUTS, 60)
        stage.expect("a lander has paused", lambda: samples.was_paused, 60)
        expect_alarm(stage, "put_unknown", _NOTICED_S)
    heal(stage, proxy)
    stage.catch_up()
    stage.expect(
        "no lander left the group: 0 rebalances", lambda: _rebalances(stage.members) == groups, 0
    )


def refused(stage: Stage) -> None:
    """Disable the landers' identity in the middle, then give its key another secret."""
    landers = stage.landers(2)
    stage.steady()
    pids = [one.process.pid for one in landers]
    layout = stage.cluster.layout
    access, _ = layout.store.keys("lander")
    admin = store.admin(layout)
    admin.user_disable(access)
    stage.prove("the store refuses the landers' key", lambda: _says(stage) == "403")
    stage.expect("every lander tells it", lambda: all(map(fails, landers)), 60)
    expect_alarm(stage, "refused")
    admin.user_add(access, secrets.token_urlsafe(30))
    stage.prove(
        "the key is enabled again with another secret",
        lambda: _says(stage) == "403" and _is_enabled(admin, access),
    )
    stage.expect(
        "the landers' signatures are refused, and they say so",
        lambda: all("Signature" in str(one.status().get("error")) for one in landers),
        60,
    )
    store.provision(layout)
    stage.prove("the key is as it was", lambda: _says(stage) == "200")
    stage.healed()
    stage.catch_up()
    stage.expect(
        "the same processes go on", lambda: [one.process.pid for one in _alive(landers)] == pids, 0
    )


def _rebalances(members: Sequence[Member]) -> list[int]:
    return [len(one.said("assigned", "revoked", "lost")) for one in members]


def _pauses(one: Member) -> bool:
    return bool(one.status().get("paused"))


def _alive(members: Sequence[Member]) -> list[Member]:
    return [one for one in members if one.process.is_running]


def _wait_out(stage: Stage, began: float) -> None:
    left = stage.options.store_outage_s
    stage.expect(
        f"{left:.0f} s without a store", lambda: time.monotonic() - began >= left, left + 5
    )


def _told_memory(stage: Stage, samples: Sampler, before: int) -> None:
    stage.notes["rss_before_mib"] = round(before / MIB, 1)
    stage.notes["rss_max_mib"] = round(samples.rss / MIB, 1)
    stage.notes["buffered_max_mib"] = round(samples.buffered / MIB, 2)
    stage.notes["budget_mib"] = _BUDGET / MIB


def _says(stage: Stage) -> str:
    """Return the store's answer to the landers' identity: a status, or that there is none."""
    settings = StoreSettings.load()
    client = connect(settings, "lander", read_timeout_s=2.0)
    try:
        client.list_objects_v2(Bucket=settings.bronze_bucket, MaxKeys=1)
    except ClientError as error:
        return str(error.response["ResponseMetadata"]["HTTPStatusCode"])
    except BotoCoreError:
        return "refused"
    return "200"


def _is_enabled(admin: MinioAdmin, access: str) -> bool:
    return bool(json.loads(admin.user_info(access))["status"] == "enabled")


ROWS: Final = (
    Row(13, "store down", down),
    Row(15, "PUTs take 2 to 30 s, half-open sockets", slow),
    Row(
        18,
        "store refuses the landers' key in mid-run",
        refused,
        frozenset({"refused-is-landed"}),
    ),
)
