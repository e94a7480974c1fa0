"""The group coordinator of the world: who owns which partition, and what the group committed."""

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from ingestion.land.protocol import Commit, Partition

if TYPE_CHECKING:
    from drill.simulation.world import World

SESSION_S: Final = 6.0
# The fence of the coordinator is not relied on: some commits of former owners get through.
_STALE_COMMIT_ACCEPTED: Final = 0.3


class Client(Protocol):
    """The consumer of a member, as the coordinator reaches it."""

    def assign(self, partitions: tuple[Partition, ...]) -> None: ...
    def revoke(self, partitions: tuple[Partition, ...]) -> None: ...
    def lose(self) -> None: ...


@dataclass(eq=False, slots=True)
class Member:
    """A member of the group; it learns what was decided when it next comes by."""

    index: int
    client: Client
    pending: deque[tuple[str, tuple[Partition, ...]]] = field(default_factory=deque)
    silent_since: float | None = None
    is_isolated: bool = False
    is_expelled: bool = False
    aware_at: float = 0.0  # when an expelled member hears of it


class Group:
    """Cooperative rebalancing: a partition is given once it was released or its owner died."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._members: list[Member] = []
        self._owners: dict[Partition, Member | None] = dict.fromkeys(world.logs.partitions)
        self._moving: set[Partition] = set()
        self._committed: dict[Partition, tuple[str, int, int]] = {}

    def join(self, index: int, client: Client) -> Member:
        """Add a member; partitions move soon."""
        member = Member(index, client)
        self._members.append(member)
        self._world.schedule.after(self._world.rng.uniform(0.05, 0.5), self.rebalance)
        return member

    def leave(self, member: Member) -> None:
        """Remove a member that says so, or that was silent for a session."""
        member.is_expelled = True
        member.aware_at = self._world.schedule.now + self._world.rng.uniform(0.0, 3.0)
        self._members.remove(member)
        for partition, owner in self._owners.items():
            if owner is member:
                self._owners[partition] = None
                self._moving.discard(partition)
        self.rebalance()

    def rebalance(self) -> None:
        """Draw a new owner for each partition."""
        if self._world.is_on("coordinator_down"):
            self._world.schedule.after(0.5, self.rebalance)
            return
        if not self._members:
            return
        revoked: dict[Member, list[Partition]] = {}
        for partition, owner in self._owners.items():
            target = self._world.rng.choice(self._members)
            if owner is None:
                self._give(partition)
            elif owner is not target and partition not in self._moving:
                self._moving.add(partition)
                revoked.setdefault(owner, []).append(partition)
        for owner, partitions in revoked.items():
            owner.pending.append(("revoke", tuple(partitions)))

    def serve(self, member: Member) -> None:
        """Tell a member that polls what was decided, by its callbacks."""
        if member.is_expelled:
            if self._world.schedule.now >= member.aware_at and not member.is_isolated:
                member.client.lose()
            return
        while member.pending and not self._is_cut_off(member):
            kind, partitions = member.pending.popleft()
            if kind == "assign":
                member.client.assign(partitions)
                continue
            self._world.count("revokes")
            member.client.revoke(partitions)
            self._released(member, partitions)

    def silence(self, member: Member, session_s: float = SESSION_S) -> None:
        """Note that nothing is heard of a member from now on."""
        if member.silent_since is None:
            member.silent_since = self._world.schedule.now
            self._world.schedule.after(session_s, self._expire, member, member.silent_since)

    def contact(self, member: Member) -> None:
        """Note that a member is heard of again."""
        member.silent_since = None
        if member.is_expelled:
            member.aware_at = self._world.schedule.now + self._world.rng.uniform(0.0, 3.0)

    def owns(self, member: Member, partition: Partition) -> bool:
        """Tell whether the coordinator holds the member for the owner."""
        return self._owners[partition] is member

    def commit(self, member: Member, commit: Commit) -> None:
        """Take a commit in; it may be lost, late, or refused."""
        world = self._world
        if self._is_cut_off(member) or world.is_on("commits_lost", member.index):
            world.count("commits lost")
            return
        is_late = world.is_on("commits_late", member.index)
        world.count("commits late", is_late)
        delay = world.rng.uniform(1.0, 9.0) if is_late else world.latency()
        world.schedule.after(delay, self._apply, member, commit)

    def committed(self, partition: Partition, generation: str) -> tuple[int | None, int | None]:
        """Return (offset, hint) of a generation, None where the group has committed nothing."""
        found = self._committed.get(partition)
        return (found[1], found[2]) if found and found[0] == generation else (None, None)

    def reset(self, commit: Commit) -> None:
        """Set an offset as an administrator does: nobody is asked, and nothing is judged."""
        self._committed[commit.partition] = (commit.generation, commit.offset, commit.hint)

    def forget(self, partition: Partition) -> None:
        """Drop the offset of a deleted topic."""
        self._committed.pop(partition, None)

    def _apply(self, member: Member, commit: Commit) -> None:
        world = self._world
        if not self.owns(member, commit.partition):
            if world.rng.random() >= _STALE_COMMIT_ACCEPTED:
                world.count("commits of former owners refused")
                return
            world.count("commits of former owners taken")
        self._committed[commit.partition] = (commit.generation, commit.offset, commit.hint)
        if world.tracing:
            world.note(f"group: committed {commit.partition} {commit.offset}")
        world.checks.committed(commit.partition, commit.generation, commit.offset)

    def _give(self, partition: Partition) -> None:
        if self._owners[partition] is not None or not self._members:
            return
        owner = self._world.rng.choice(self._members)
        self._owners[partition] = owner
        owner.pending.append(("assign", (partition,)))

    def _released(self, member: Member, partitions: tuple[Partition, ...]) -> None:
        if member.is_expelled:
            return
        for partition in partitions:
            self._owners[partition] = None
            self._moving.discard(partition)
            self._world.schedule.after(self._world.rng.uniform(0.02, 0.5), self._give, partition)

    def _expire(self, member: Member, since: float) -> None:
        if member.is_expelled or member.silent_since != since:
            return
        if self._world.is_on("coordinator_down"):
            self._world.schedule.after(1.0, self._expire, member, since)
            return
        self._world.count("sessions expired")
        if self._world.tracing:
            self._world.note(f"group: L{member.index}'s session expired")
        self.leave(member)

    def _is_cut_off(self, member: Member) -> bool:
        return member.is_isolated or self._world.is_on("coordinator_down")
