"""Which snapshots may go, on histories made by hand."""

import json
from typing import Any

from spark_jobs import history
from spark_jobs.history import History, Replaced

HOUR = 3_600_000
NOW = 100 * HOUR


class Metadata:
    """A table's metadata file in the making; snapshot n is committed at hour n."""

    def __init__(self, commits: int) -> None:
        self.snapshots: list[dict[str, Any]] = []
        self.refs: dict[str, dict[str, Any]] = {}
        self.log: list[dict[str, int]] = []
        for number in range(1, commits + 1):
            self.commit(number, number - 1 or None)

    def commit(
        self, number: int, parent: int | None, *, on_main: bool = True, **properties: str
    ) -> None:
        snapshot = {
            "snapshot-id": number,
            "sequence-number": len(self.snapshots) + 1,
            "timestamp-ms": number * HOUR,
            "summary": {"operation": "append", **properties},
        }
        self.snapshots.append(snapshot | ({"parent-snapshot-id": parent} if parent else {}))
        if on_main:
            self.move_main(number, number)

    def move_main(self, number: int, hour: int) -> None:
        self.refs["main"] = {"snapshot-id": number, "type": "branch"}
        self.log.append({"timestamp-ms": hour * HOUR, "snapshot-id": number})

    def ref(self, name: str, snapshot: int, kind: str, **more: int) -> None:
        self.refs[name] = {"snapshot-id": snapshot, "type": kind, **more}

    def sets(self, number: int, **properties: str) -> None:
        self.snapshots[number - 1]["summary"] |= properties

    def read(self) -> History:
        return history.parse(
            json.dumps(
                {
                    "current-snapshot-id": self.refs["main"]["snapshot-id"],
                    "snapshots": self.snapshots,
                    "refs": self.refs,
                    "snapshot-log": self.log,
                }
            )
        )


def expirable(made: Metadata, *needed: int, older_than: int = 10, now: int = 100) -> list[int]:
    return history.expirable(made.read(), needed, now * HOUR, older_than * HOUR)


def test_a_table_that_was_just_created_has_nothing() -> None:
    empty = history.parse('{"current-snapshot-id": -1}')
    assert (empty.head, list(empty.lineage(empty.head))) == (None, [])
    assert history.expirable(empty, (), NOW, 0) == []


def test_old_snapshots_go_and_the_newest_three_stay() -> None:
    assert expirable(Metadata(6)) == [1, 2, 3]


def test_age_counts_from_when_it_was_the_head_for_the_last_time() -> None:
    """Snapshot 3 is 97 h old and has a child of 96 h, but until an hour ago everybody read it."""
    made = Metadata(3)
    for number in (4, 5, 6):
        made.commit(number, number - 1, on_main=False)
    made.move_main(6, 99)
    # 1 and 2 left when 2 and 3 came; 3 when main was moved over all of a branch.
    assert expirable(made) == [1, 2]
    assert expirable(made, older_than=0) == [1, 2, 3]


def test_what_is_walked_back_to_stays_with_all_that_follows() -> None:
    made = Metadata(20)
    assert expirable(made, 4) == [1, 2, 3]
    made.ref("loaded_one", 3, "tag")
    assert expirable(made, 4) == [1, 2]
    made.sets(2, **{"tapehouse.positions": "{}"})
    assert expirable(made, 4) == [1]
    made.sets(9, **{"tapehouse.positions": "{}"})
    assert expirable(made, 999) == [1, 2], "only the newest positions count"


def test_a_tag_of_anybody_holds_its_snapshot_alone() -> None:
    made = Metadata(10)
    made.ref("before-the-move", 2, "tag")
    assert expirable(made) == [1, *range(3, 8)]


def test_a_running_jobs_branch_stays_with_what_it_grows_from() -> None:
    made = Metadata(10)
    made.commit(11, 4, on_main=False)
    made.commit(12, 11, on_main=False)
    made.ref("compact_1", 12, "branch", **{"max-ref-age-ms": 200 * HOUR})
    assert expirable(made) == [1, 2, 3, 5, 6, 7]
    del made.refs["compact_1"]
    assert expirable(made) == [1, 2, 3, 4, 5, 6, 7, 11, 12]


def test_a_branch_is_dead_when_its_snapshot_is_older_than_it_may_get() -> None:
    made = Metadata(3)
    made.ref("old", 2, "branch", **{"max-ref-age-ms": 97 * HOUR})
    made.ref("running", 2, "branch", **{"max-ref-age-ms": 99 * HOUR})
    made.ref("of-a-person", 2, "branch")
    made.ref("tag", 2, "tag", **{"max-ref-age-ms": HOUR})
    assert history.dead_branches(made.read(), NOW) == ["old"]


def test_tags_follow_properties_and_consumers_and_properties_never_back() -> None:
    made = Metadata(6)
    made.sets(2, **{"tapehouse.positions": "{}", "tapehouse.stream.q1": "7", "spark.app.id": "x"})
    pins = {"one": 3, "lost": 77}
    wanted = {"kept_positions": 2, "kept_stream.q1": 2, "loaded_one": 3}
    assert history.wanted_tags(made.read(), pins) == wanted
    for name, snapshot in wanted.items():
        made.ref(name, snapshot, "tag")
    assert history.wanted_tags(made.read(), pins) == {}

    made.ref("kept_positions", 5, "tag")
    # A warehouse that was restored from a copy has come less far than before.
    assert history.wanted_tags(made.read(), {"one": 1}) == {"loaded_one": 1}


def test_a_replaced_file_is_freed_with_the_last_snapshot_that_held_it() -> None:
    found = Metadata(6).read()
    early = Replaced(bytes=10, sequence=1, by=3)
    late = Replaced(bytes=7, sequence=2, by=5)
    unknown = Replaced(bytes=1, sequence=1, by=99)
    files = [early, late, unknown]
    assert history.freed(found, {1}, files) == []
    assert history.freed(found, {1, 2}, files) == [early]
    assert history.freed(found, {1, 2, 3, 4}, files) == [early, late]
    assert history.freed(found, {2, 3, 4}, files) == [late], "1 is older than that file"
