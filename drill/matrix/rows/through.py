"""Landers that reach the store through a fault proxy, and the proofs that its faults happened."""

from collections.abc import Sequence
from typing import Final

from drill.matrix.members import Member, Orders
from drill.matrix.proxy import client
from drill.matrix.proxy.client import FaultProxy
from drill.matrix.stage import Stage
from infra.local import scratch

FAULTS: Final = 12  # of each kind, so that several partitions meet it


def proxied(stage: Stage) -> FaultProxy:
    """Start a fault proxy before the stage's store; it is ended after the row's landers."""
    listen, control = scratch.choose_ports(2)
    layout = stage.cluster.layout
    log = layout.log / f"faults-{stage.row}.jsonl"
    proxy = client.start(stage.cluster.process, layout.store.port, (listen, control), log)
    stage.closing.callback(proxy.stop)
    return proxy


def through(proxy: FaultProxy, settings: Sequence[tuple[str, str]] = ()) -> Orders:
    """Return orders for a lander whose store is the proxy."""
    return Orders(settings=(("STORE_ENDPOINT", proxy.url), *settings))


def behind_proxy(stage: Stage, settings: Sequence[tuple[str, str]] = ()) -> FaultProxy:
    """Return a proxy with two landers behind it that land steadily."""
    proxy = proxied(stage)
    stage.landers(2, through(proxy, settings))
    stage.steady()
    return proxy


def prove_done(
    stage: Stage,
    proxy: FaultProxy,
    rule: str,
    what: str,
    least: int = FAULTS,
    timeout_s: float = 60.0,
) -> None:
    """Wait until the proxy has done a rule's fault at least so often."""
    stage.prove(f"{least} {what}", lambda: proxy.report().done(rule) >= least, timeout_s)


def heal(stage: Stage, proxy: FaultProxy) -> None:
    """End the faults, and note how often each was done."""
    done = proxy.heal()
    stage.healed()
    for name in done.tallies:
        stage.notes[name] = done.done(name)


def expect_alarm(stage: Stage, code: str, timeout_s: float = 30.0) -> None:
    """Wait until a lander has told something that it tells only when it has met the fault."""
    stage.expect(
        f"a lander said {code!r}", lambda: any(one.said(code) for one in stage.members), timeout_s
    )


def note_alarms(stage: Stage, *codes: str) -> None:
    """Note how often the landers have said so: whether they were right is the auditors' matter."""
    for code in codes:
        stage.notes[f"said_{code}"] = sum(len(one.said(code)) for one in stage.members)


def fails(one: Member) -> bool:
    """Tell whether a lander says that something keeps it from landing."""
    return one.status().get("error") is not None
