"""A network of its own for one lander, whose way to Kafka and to the store can fail separately.

A network namespace has one pair of interfaces to the relays before the brokers and one to the
relay before the store. A direction is cut with ``tc``'s ``blackhole`` discipline on the interface
that sends: every packet of that direction is dropped and counted. It is part of every kernel that
knows ``tc``; ``netem`` is a module that small kernels leave out.

Where that is not allowed (no root, no ``ip``), the relays themselves hold what they carry: for the
lander that is the same silence, see ``relay.py``.
"""

import json
import os
import random
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import psutil

from drill.matrix.relay import Way
from drill.matrix.tools import run
from ingestion.errors import StackError

Side = Literal["kafka", "store"]
SIDES: Final[tuple[Side, ...]] = ("kafka", "store")
_NEEDED: Final = ("ip", "tc")
_NAME: Final = "tapehouse-"
_PRIVATE: Final = "10.231"  # a /30 below it for each pair


@dataclass(frozen=True)
class Pair:
    """Two interfaces that are each other's only neighbours: this machine's, the lander's."""

    ours: str
    theirs: str
    subnet: str

    def address(self, end: int) -> str:
        return f"{self.subnet}.{end}"


class Network(Protocol):
    """One lander's ways out."""

    kind: str

    def prefix(self) -> list[str]:
        """Return what a command line begins with that shall run inside."""
        ...

    def set(self, side: Side, way: Way) -> None:
        """Hold or pass what goes to a side and what comes from there."""
        ...

    def dropped(self, side: Side) -> dict[str, int]:
        """Return what did not get through since the side was last set, by direction."""
        ...

    def close(self) -> None:
        """Take the network down."""
        ...


class RelayOrders(Protocol):
    """What `RelayedNetwork` needs of the relays' process."""

    def order(self, **order: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        """Send an order; return what was so far."""
        ...


class RelayedNetwork:
    """No network of its own: the relays hold. Counts are bytes."""

    kind = "relay"

    def __init__(self, relays: RelayOrders) -> None:
        self._relays = relays

    def prefix(self) -> list[str]:
        return []

    def set(self, side: Side, way: Way) -> None:
        self._relays.order(to=side, way=way)

    def dropped(self, side: Side) -> dict[str, int]:
        held: dict[str, int] = self._relays.order()[side]["held"]
        return held

    def close(self) -> None:
        """Leave nothing behind: there is nothing."""


class NamespaceNetwork:
    """A network namespace. Counts are packets that ``tc`` dropped."""

    kind = "network namespace"

    def __init__(self, pairs: Mapping[Side, Pair], name: str = "") -> None:
        """Make the namespace and its interfaces, and delete what killed drills left of theirs.

        Raises:
            StackError: the machine refuses.
        """
        forget_abandoned()
        self.name = name or f"{_NAME}{os.getpid()}"
        self._pairs = pairs
        run("ip", "netns", "add", self.name)
        try:
            self._connect()
        except StackError:
            self.close()
            raise

    def prefix(self) -> list[str]:
        return ["ip", "netns", "exec", self.name]

    def set(self, side: Side, way: Way) -> None:
        pair = self._pairs[side]
        self._drop(way in (Way.HOLD_ANSWERS, Way.HOLD_BOTH), [], pair.ours)
        self._drop(way in (Way.HOLD_REQUESTS, Way.HOLD_BOTH), ["-n", self.name], pair.theirs)

    def dropped(self, side: Side) -> dict[str, int]:
        pair = self._pairs[side]
        return {
            "requests": _drops(["-n", self.name], pair.theirs),
            "answers": _drops([], pair.ours),
        }

    def close(self) -> None:
        """Delete the namespace; its interfaces go with it."""
        run("ip", "netns", "del", self.name)

    def _connect(self) -> None:
        inside = ["ip", "-n", self.name]
        run(*inside, "link", "set", "lo", "up")
        for pair in self._pairs.values():
            peer = ["peer", "name", pair.theirs, "netns", self.name]
            run("ip", "link", "add", pair.ours, "type", "veth", *peer)
            run("ip", "addr", "add", f"{pair.address(1)}/30", "dev", pair.ours)
            run("ip", "link", "set", pair.ours, "up")
            run(*inside, "addr", "add", f"{pair.address(2)}/30", "dev", pair.theirs)
            run(*inside, "link", "set", pair.theirs, "up")

    def _drop(self, is_wanted: bool, where: Sequence[str], device: str) -> None:
        is_there = _discipline(where, device) is not None
        if is_there:
            run("tc", *where, "qdisc", "del", "dev", device, "root")
        if is_wanted:
            run("tc", *where, "qdisc", "add", "dev", device, "root", "blackhole")


def why_no_namespace() -> str | None:
    """Return why this machine gives no network namespace; None where it does."""
    missing = [tool for tool in _NEEDED if shutil.which(tool) is None]
    if missing:
        return f"{' and '.join(missing)} missing: install iproute2"
    if os.geteuid() != 0:
        return "not root: network namespaces are not allowed"
    try:
        NamespaceNetwork(choose_pairs(), f"{_NAME}probe-{os.getpid()}").close()
    except StackError as error:
        return str(error)
    return None


def choose_pairs() -> dict[Side, Pair]:
    """Return names and addresses that nobody on this machine uses."""
    return {side: _pair(side) for side in SIDES}


def forget_abandoned() -> None:
    """Delete the namespaces of drills that were killed."""
    for line in run("ip", "netns", "list").splitlines():
        name = line.split()[0]
        owner = name.removeprefix(_NAME).removeprefix("probe-")
        if name.startswith(_NAME) and owner.isdigit() and not psutil.pid_exists(int(owner)):
            run("ip", "netns", "del", name)


def _pair(side: Side) -> Pair:
    number = random.randrange(2**16)  # noqa: S311 - a name, not a secret
    subnet = f"{_PRIVATE}.{number % 256}"
    if any(subnet in line for line in run("ip", "-br", "addr").splitlines()):
        return _pair(side)
    return Pair(f"th{number:04x}{side[0]}0", f"th{number:04x}{side[0]}1", subnet)


def _drops(where: Sequence[str], device: str) -> int:
    found = _discipline(where, device)
    return int(found["drops"]) if found else 0


def _discipline(where: Sequence[str], device: str) -> Mapping[str, Any] | None:
    text = run("tc", "-s", "-j", *where, "qdisc", "show", "dev", device)
    found = [one for one in json.loads(text) if one["kind"] == "blackhole"]
    return found[0] if found else None
