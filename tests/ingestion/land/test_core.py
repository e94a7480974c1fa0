import pytest

from ingestion.land.chain import Chain
from ingestion.land.core import Core, Limits
from ingestion.land.protocol import (
    Corrupt,
    Describe,
    EndOfPartition,
    Flush,
    Get,
    Got,
    Head,
    Kind,
    List,
    Lost,
    Pause,
    PositionLost,
    Put,
    PutDone,
    PutOutcome,
    QueryWatermarks,
    Records,
    Revoked,
    Seek,
    Watermarks,
)
from tests.ingestion.land.world import P0, P1, Lander, Log, World, chunk, following

MAX_AGE_S = 2.0


def world_with(records: int, **log: int) -> World:
    world = World()
    world.logs[P0] = Log(**log)  # type: ignore[arg-type]
    world.logs[P0].append(records)
    return world


def stored(start: int, next_: int, kind: Kind = Kind.DATA) -> Head:
    return Head(start, next_, next_ - start if kind is Kind.DATA else 0, "", kind)


def land(world: World, *offsets: int, next_: int | None = None) -> None:
    """Put an object into storage as another lander would."""
    head = stored(offsets[0], next_ or offsets[-1] + 1)
    key = (P0, world.logs[P0].generation, offsets[0])
    assert key not in world.objects
    world.objects[key] = (head, (chunk(*offsets),))


def holding(world: World) -> Lander:
    """Return a lander with a PUT of everything in the log waiting for its answer."""
    lander = following(world)
    lander.feed()
    lander.wait(MAX_AGE_S)
    assert isinstance(lander.requests[0], Put)
    return lander


# Position ---------------------------------------------------------------------------------------


def test_a_new_partition_is_read_from_its_beginning() -> None:
    lander = following(world_with(3))
    assert lander.reads == {P0: 0}
    assert lander.commits == []


def test_position_comes_from_storage_and_not_from_the_committed_offset() -> None:
    world = world_with(9, committed=3, hint=0)
    land(world, 0, 1, 2)
    land(world, 3, 4, 5)
    lander = following(world)
    assert lander.reads == {P0: 6}
    assert [commit.offset for commit in lander.commits] == [6]  # brought forward
    assert lander.codes() == []


def test_listing_begins_at_the_object_before_the_committed_offset() -> None:
    world = world_with(9, committed=6, hint=3)
    lander = Lander(world)
    lander.assign(P0)
    lander.tell(world.perform(lander.requests.pop()))
    assert lander.requests[0] == List(P0, world.logs[P0].generation, 3, request=2)


def test_without_a_hint_listing_begins_at_the_committed_offset_then_at_the_beginning() -> None:
    world = world_with(9, committed=6)
    land(world, 0, 1, 2, 3, 4, 5)
    lander = Lander(world)
    lander.assign(P0)
    asked = []
    while lander.requests:
        asked.append(lander.requests[0])
        lander.tell(world.perform(lander.requests.pop()))
    assert [one.since for one in asked if isinstance(one, List)] == [6, 0]
    assert lander.reads == {P0: 6}


def test_committed_beyond_storage_is_an_alarm_and_a_rewind() -> None:
    world = world_with(9, committed=7, hint=4)
    land(world, 0, 1, 2)
    lander = following(world)
    assert lander.codes() == ["committed_beyond_storage"]
    assert lander.reads == {P0: 3}
    assert lander.commits[-1].offset == 3


def test_retention_that_passed_the_chain_leaves_a_gap_object_and_an_alarm() -> None:
    world = world_with(9)
    land(world, 0, 1, 2)
    world.logs[P0].low = 5
    world.logs[P0].offsets = [5, 6, 7, 8]
    lander = following(world)
    assert lander.codes() == ["retention_gap"]
    assert lander.reads == {P0: 5}
    heads = [head for head, _ in world.chain()]
    assert (heads[-1].start, heads[-1].next, heads[-1].kind) == (3, 5, Kind.GAP)


def test_a_log_whose_start_was_never_landed_begins_with_a_gap() -> None:
    world = world_with(9, low=4)
    lander = following(world)
    assert [head.next for head, _ in world.chain()] == [4]
    assert lander.reads == {P0: 4}


def test_storage_beyond_the_log_stalls_after_a_second_look() -> None:
    world = world_with(2)
    land(world, 0, 1, 2, 3)
    lander = following(world)
    assert lander.codes() == ["stalled"]
    assert lander.reads == {}
    assert P0 in lander.paused


def test_a_high_watermark_that_lags_for_a_moment_does_not_stall() -> None:
    world = world_with(4)
    land(world, 0, 1, 2, 3)
    lander = Lander(world)
    lander.assign(P0)
    while not isinstance(lander.requests[0], QueryWatermarks):
        lander.tell(world.perform(lander.requests.pop(0)))
    asked = lander.requests.pop(0)
    lander.tell(Watermarks(P0, asked.request, 0, 2))
    lander.settle()
    assert lander.codes() == []
    assert lander.reads == {P0: 4}


def test_a_topic_created_anew_while_the_chain_is_located_is_no_truncation() -> None:
    world = world_with(4)
    land(world, 0, 1, 2, 3)
    lander = Lander(world)
    lander.assign(P0)
    while not isinstance(lander.requests[0], QueryWatermarks):
        lander.tell(world.perform(lander.requests.pop(0)))
    world.logs[P0] = Log(generation="b" * 32)
    world.logs[P0].append(2)
    lander.settle()
    assert lander.codes() == ["topic_recreated"]
    assert lander.reads == {P0: 0}


def test_questions_that_fail_are_asked_again() -> None:
    lander = Lander(world_with(3))
    lander.assign(P0)
    lander.answer("no answer", "no answer")
    assert isinstance(lander.requests[0], Describe)
    assert lander.requests[0].attempt == 2
    lander.settle()
    assert lander.reads == {P0: 0}


# Landing ----------------------------------------------------------------------------------------


def test_an_object_is_closed_by_age() -> None:
    lander = following(world_with(3))
    lander.feed()
    lander.wait(MAX_AGE_S - 0.1)
    assert lander.requests == []
    lander.wait(0.1)
    lander.settle()
    assert lander.world.landed() == [0, 1, 2]


def test_what_came_while_an_object_was_put_waits_for_its_own_age() -> None:
    """Else a steady stream is landed in one small object after another."""
    world = world_with(3)
    lander = holding(world)
    world.logs[P0].append(2)
    lander.feed()
    lander.wait(0.5)
    lander.settle()
    assert world.landed() == [0, 1, 2]

    lander.wait(MAX_AGE_S - 0.6)
    assert lander.requests == []
    lander.wait(0.1)
    lander.settle()
    assert world.landed() == [0, 1, 2, 3, 4]


def test_what_full_objects_leave_waits_for_its_own_age() -> None:
    lander = following(world_with(0))
    large = b'"' + b"x" * 10_000 + b'"'
    lander.tell(Records(P0, chunk(0, payload=large)))
    lander.tell(Records(P0, chunk(1, payload=large)))
    lander.wait(1.0)
    lander.tell(Records(P0, chunk(2)))
    lander.settle()
    assert lander.world.landed() == [0, 1]

    lander.wait(MAX_AGE_S - 0.1)
    assert lander.requests == []
    lander.wait(0.1)
    lander.settle()
    assert lander.world.landed() == [0, 1, 2]


def test_the_age_is_that_of_the_oldest_record_that_is_not_landed() -> None:
    chain = Chain(P0, landed=0)
    for moment in range(6):
        chain.add(chunk(moment), float(moment))
    _, taken = chain.take(1)
    chain.sending = Put(P0, "g", 0, 1, Kind.DATA, taken)
    assert (chain.since(), chain.unsent_since()) == (0.0, 1.0)

    chain.continue_from(stored(0, 1))  # as sent: the rest of a full object
    assert (chain.since(), chain.unsent_since()) == (1.0, 1.0)

    _, taken = chain.take(10_000)
    chain.sending = Put(P0, "g", 1, 6, Kind.DATA, taken)
    chain.advance(8, 6.0)  # a hole at the end
    assert (chain.since(), chain.unsent_since()) == (1.0, 6.0)
    chain.continue_from(stored(1, 3))  # another lander's object, shorter
    assert (chain.since(), chain.unsent_since()) == (3.0, 3.0)
    chain.continue_from(stored(3, 7))  # and one that ends inside the hole
    assert chain.since() == 6.0
    chain.continue_from(stored(7, 9))
    assert chain.since() is None


def test_an_object_is_closed_by_size() -> None:
    lander = following(world_with(0))
    lander.tell(Records(P0, chunk(0, payload=b'"' + b"x" * 10_000 + b'"')))
    assert isinstance(lander.requests[0], Put)


def test_flush_closes_whatever_is_held() -> None:
    lander = following(world_with(3))
    lander.feed()
    lander.tell(Flush())
    lander.settle()
    assert lander.world.landed() == [0, 1, 2]


def test_nothing_is_committed_before_the_object_is_durable() -> None:
    lander = holding(world_with(3))
    assert lander.commits == []
    lander.settle()
    assert [(c.offset, c.hint) for c in lander.commits] == [(3, 0)]


def test_intervals_chain_through_markers_and_holes() -> None:
    world = World()
    world.logs[P0].append(2, markers=1)
    world.logs[P0].append(2, markers=2)
    lander = following(world)
    lander.feed(limit=2)
    lander.wait(MAX_AGE_S)
    lander.settle()
    lander.feed()
    lander.wait(MAX_AGE_S)
    lander.settle()
    assert [(h.start, h.next, h.count) for h, _ in world.chain()] == [(0, 2, 2), (2, 5, 2)]


def test_markers_at_the_end_of_the_log_are_covered_without_a_record() -> None:
    world = World()
    world.logs[P0].append(2, markers=3)
    lander = following(world)
    lander.feed()
    lander.feed()  # the end of the partition, at 5
    lander.wait(MAX_AGE_S)
    lander.settle()
    assert world.end() == 5
    assert lander.commits[-1].offset == 5


def test_one_object_is_under_way_per_partition_and_the_next_waits() -> None:
    lander = holding(world_with(3))
    lander.world.logs[P0].append(2)
    lander.feed()
    lander.wait(MAX_AGE_S)
    assert len(lander.requests) == 1
    lander.settle()
    assert lander.world.landed() == [0, 1, 2, 3, 4]
    assert len(lander.world.chain()) == 2


def test_records_already_expected_past_are_dropped() -> None:
    lander = following(world_with(5))
    lander.tell(Records(P0, chunk(0, 1, 2)))
    lander.tell(Records(P0, chunk(1, 2, 3)))
    lander.wait(MAX_AGE_S)
    lander.settle()
    assert lander.world.landed() == [0, 1, 2, 3]


def test_records_of_partitions_not_owned_are_dropped() -> None:
    lander = following(world_with(3))
    lander.tell(Records(P1, chunk(0, 1)))
    lander.tell(EndOfPartition(P1, 9))
    assert lander.core.size() == 0


def test_a_client_that_reads_from_before_the_seek_is_told_again() -> None:
    world = world_with(9)
    land(world, 0, 1, 2, 3, 4)
    lander = following(world)
    assert lander.tell(Records(P0, chunk(0, 1))) == [Seek(P0, 5)]
    lander.tell(Records(P0, chunk(5, 6)))
    assert lander.tell(Records(P0, chunk(5, 6))) == [], "a repetition later on is only dropped"


def test_a_hole_right_after_a_seek_is_looked_at_twice() -> None:
    lander = following(world_with(9))
    assert lander.tell(Records(P0, chunk(4, 5))) == [Seek(P0, 0)]
    lander.tell(Records(P0, chunk(0, 1)))  # the client had skipped
    assert lander.core.chains[P0].position == 2


def test_a_hole_that_is_there_twice_is_a_hole() -> None:
    lander = following(world_with(9))
    lander.tell(Records(P0, chunk(4, 5)))
    lander.tell(Records(P0, chunk(4, 5)))
    assert lander.core.chains[P0].position == 6
    assert lander.core.chains[P0].records() == 2


# Outcomes of a PUT ------------------------------------------------------------------------------


def test_exists_adopts_what_another_lander_put_and_drops_that_prefix() -> None:
    lander = holding(world_with(5))
    land(lander.world, 0, 1, 2)
    lander.settle()
    lander.wait(MAX_AGE_S)
    lander.settle()
    assert lander.world.landed() == [0, 1, 2, 3, 4]
    assert [h.start for h, _ in lander.world.chain()] == [0, 3]
    assert lander.commits[-1].offset == 5


def test_exists_beyond_what_is_held_moves_the_position_forward() -> None:
    lander = holding(world_with(3))
    lander.world.logs[P0].append(5)
    land(lander.world, 0, 1, 2, 3, 4, 5)
    lander.settle()
    assert lander.reads == {P0: 6}
    assert lander.core.size() == 0


def test_exists_that_is_our_own_put_unseen_is_landed() -> None:
    lander = holding(world_with(3))
    lander.world.perform(lander.requests[0])  # the store applied it, the answer got lost
    lander.settle()
    assert lander.world.puts == 1
    assert lander.commits[-1].offset == 3


def test_conflict_is_tried_again() -> None:
    lander = holding(world_with(3))
    lander.answer(PutOutcome.CONFLICT)
    assert isinstance(lander.requests[0], Put)
    assert lander.requests[0].attempt == 1
    lander.settle()
    assert lander.world.landed() == [0, 1, 2]


def test_an_unknown_outcome_is_looked_at_and_found_applied() -> None:
    lander = holding(world_with(3))
    lander.world.perform(lander.requests[0])
    lander.answer(PutOutcome.UNKNOWN)
    assert isinstance(lander.requests[0], Get)
    assert lander.commits == []
    lander.settle()
    assert lander.world.puts == 1
    assert lander.commits[-1].offset == 3


def test_an_unknown_outcome_that_was_not_applied_is_put_again() -> None:
    lander = holding(world_with(3))
    lander.answer(PutOutcome.UNKNOWN, "the store is down", "the store is down")
    lander.settle()
    assert lander.world.landed() == [0, 1, 2]


def test_a_refusal_stalls_with_an_alarm_and_drops_nothing() -> None:
    lander = holding(world_with(3))
    lander.answer(*[PutOutcome.REFUSED] * 3)
    assert lander.codes() == ["refused"]
    assert lander.core.chains[P0].records() == 3
    assert lander.commits == []
    lander.settle()
    assert lander.world.landed() == [0, 1, 2]


def test_a_gap_over_records_that_are_held_is_an_alarm() -> None:
    lander = holding(world_with(3))
    lander.world.objects[(P0, lander.world.logs[P0].generation, 0)] = (stored(0, 2, Kind.GAP), ())
    lander.settle()
    assert "gap_over_records" in lander.codes()


@pytest.mark.parametrize("head", [stored(0, 0), Head(7, 9, 2, "", Kind.DATA)])
def test_an_object_that_does_not_continue_the_chain_stalls_the_partition(head: Head) -> None:
    lander = holding(world_with(3))
    lander.answer(PutOutcome.EXISTS)
    lander.tell(Got(P0, lander.requests.pop().request, head))
    assert lander.codes() == ["stalled"]
    assert lander.commits == []
    lander.wait(60)
    assert lander.requests == []


def test_a_corrupt_object_stalls_its_partition_and_no_other() -> None:
    world = world_with(3)
    world.logs[P1] = Log()
    world.logs[P1].append(2)
    lander = following(world, P0, P1)
    lander.feed(P0)
    lander.feed(P1)
    lander.wait(MAX_AGE_S)
    lander.answer(PutOutcome.EXISTS)
    looks = corrupt(lander)
    assert looks == list(range(len(looks))), "the driver waits longer with each attempt"
    assert len(looks) > 1
    lander.settle()
    assert lander.codes() == ["corrupt_answer", "stalled"]
    assert P0 in lander.paused
    assert world.landed(P1) == [0, 1]


@pytest.mark.parametrize("times", [1, 5])
def test_an_answer_damaged_on_its_way_is_asked_for_again(times: int) -> None:
    lander = holding(world_with(3))
    for _ in range(2):  # the first damage that was got over does not count for the second
        lander.answer(PutOutcome.EXISTS)
        assert corrupt(lander, times) == list(range(times))
        assert failure(lander) is not None
        lander.settle()
        assert failure(lander) is None
        assert lander.codes() == ["corrupt_answer"]
        lander.alarms.clear()
        lander.world.logs[P0].append(1)
        lander.feed()
        lander.wait(MAX_AGE_S)
    lander.settle()
    assert lander.world.landed() == [0, 1, 2, 3, 4]


def corrupt(lander: Lander, times: int = 100) -> list[int]:
    """Answer what P0 asks of storage by what contradicts itself; return each one's attempt."""
    attempts = []
    for _ in range(times):
        asked = [one for one in lander.requests if one.partition == P0]
        if not asked:
            break
        assert isinstance(asked[0], Get)
        lander.requests.remove(asked[0])
        attempts.append(asked[0].attempt)
        lander.tell(Corrupt(P0, asked[0].request, "sha256 differs"))
    return attempts


# Topics that change -----------------------------------------------------------------------------


def test_a_topic_created_anew_starts_a_new_chain() -> None:
    lander = holding(world_with(3))
    lander.settle()
    lander.world.logs[P0].append(2)
    lander.feed()
    renewed = Log(generation="b" * 32)
    renewed.append(4)
    lander.world.logs[P0] = renewed
    lander.wait(MAX_AGE_S)
    lander.settle()
    assert "topic_recreated" in lander.codes()
    assert lander.reads == {P0: 0}
    lander.feed()
    lander.wait(MAX_AGE_S)
    lander.settle()
    assert lander.world.landed() == [0, 1, 2, 3]
    assert len(lander.world.objects) == 2


def test_a_topic_created_anew_with_as_many_records_is_noticed_without_a_put() -> None:
    lander = holding(world_with(3))
    lander.settle()
    renewed = Log(generation="b" * 32)
    renewed.append(3)
    lander.world.logs[P0] = renewed
    lander.feed()
    lander.wait(29)
    assert lander.requests == []
    lander.wait(1)
    lander.settle()
    assert lander.reads == {P0: 0}
    lander.feed()
    lander.wait(MAX_AGE_S)
    lander.settle()
    assert lander.world.landed() == [0, 1, 2]


def test_records_that_come_while_the_topic_is_described_again_are_landed_on_revoke() -> None:
    world = world_with(3)
    lander = holding(world)
    lander.settle()
    lander.wait(30)
    world.logs[P0].append(2)
    lander.feed()
    lander.tell(Revoked((P0,)))
    assert [type(request) for request in lander.requests] == [Describe]
    lander.settle()
    assert world.landed() == [0, 1, 2, 3, 4]
    assert not lander.core.is_leaving([P0])


def test_a_lost_position_lands_what_is_held_first_and_then_finds_the_gap() -> None:
    lander = following(world_with(3))
    lander.feed()
    log = lander.world.logs[P0]
    log.append(5)
    log.low, log.offsets = 6, [6, 7]
    lander.tell(PositionLost(P0, "out of range"))
    lander.settle()
    assert lander.world.landed() == [0, 1, 2]
    assert [(h.start, h.next, h.kind) for h, _ in lander.world.chain()][1:] == [(3, 6, Kind.GAP)]
    assert lander.reads == {P0: 6}
    assert {"position_lost", "retention_gap"} <= set(lander.codes())


# Leaving ----------------------------------------------------------------------------------------


def test_revoked_lands_what_is_held() -> None:
    lander = following(world_with(3))
    lander.feed()
    lander.tell(Revoked((P0,)))
    assert lander.core.is_leaving([P0])
    lander.settle()
    assert not lander.core.is_leaving([P0])
    assert lander.world.landed() == [0, 1, 2]
    assert lander.commits[-1].offset == 3


def test_revoked_while_a_put_is_under_way_lands_the_rest_after_it() -> None:
    lander = holding(world_with(3))
    lander.world.logs[P0].append(2)
    lander.feed()
    lander.tell(Revoked((P0,)))
    lander.settle()
    assert lander.world.landed() == [0, 1, 2, 3, 4]
    assert P0 not in lander.core.chains


def test_past_the_deadline_what_is_held_is_dropped_and_not_committed() -> None:
    lander = holding(world_with(3))
    put = lander.requests.pop()
    lander.tell(Revoked((P0,)))
    lander.tell(Lost((P0,)))
    lander.tell(PutDone(P0, put.request, PutOutcome.LANDED))  # too late to matter
    assert lander.commits == []
    assert lander.core.chains == {}


def test_an_answer_from_before_the_partition_left_and_came_back_is_ignored() -> None:
    lander = holding(world_with(3))
    put = lander.requests.pop()
    lander.tell(Lost((P0,)))
    lander.assign(P0)
    lander.tell(PutDone(P0, put.request, PutOutcome.LANDED))
    lander.settle()
    assert lander.reads == {P0: 0}
    assert lander.commits == []


def test_records_are_not_taken_while_leaving() -> None:
    lander = holding(world_with(3))
    lander.tell(Revoked((P0,)))
    lander.tell(Records(P0, chunk(3, 4)))
    assert lander.core.chains[P0].records() == 3


# Crash at each step -----------------------------------------------------------------------------


@pytest.mark.parametrize("steps", range(7))
def test_a_crash_at_any_step_neither_loses_nor_doubles(steps: int) -> None:
    world = world_with(5)
    first = Lander(world)
    first.assign(P0)
    for _ in range(steps):  # each answer is an await at which the process may die
        if first.requests:
            first.tell(world.perform(first.requests.pop(0)))
        else:
            first.feed()
            first.wait(MAX_AGE_S)
    second = following(world)
    second.feed()
    second.wait(MAX_AGE_S)
    second.settle()
    assert world.landed() == [0, 1, 2, 3, 4]


def test_a_crash_after_the_put_and_before_the_commit_adopts_the_object() -> None:
    world = world_with(5)
    first = holding(world)
    world.perform(first.requests.pop())  # applied; the process dies before the answer
    assert world.logs[P0].committed is None
    second = following(world)
    assert second.reads == {P0: 5}
    assert second.commits[-1].offset == 5
    assert world.puts == 1


# Memory -----------------------------------------------------------------------------------------


def test_half_the_budget_flushes_the_largest() -> None:
    world = world_with(0)
    world.logs[P1] = Log()
    lander = Lander(world, Core(Limits(max_bytes=10_000, max_age_s=60, budget_bytes=10_000)))
    lander.assign(P0, P1)
    lander.settle()
    lander.tell(Records(P1, chunk(0, payload=b'"%b"' % (b"x" * 1000))))
    lander.tell(Records(P0, chunk(0, payload=b'"%b"' % (b"x" * 4500))))
    assert [request.partition for request in lander.requests] == [P0]


def test_a_spent_budget_pauses_and_landing_resumes() -> None:
    world = world_with(0)
    lander = following(world)
    payload = b'"%b"' % (b"x" * 15_000)
    for offset in range(3):
        lander.tell(Records(P0, chunk(offset, payload=payload)))
    assert lander.core.is_spent()
    assert Pause(P0) not in lander.tell(Records(P0, chunk(3, payload=payload)))
    lander.wait(0.5)
    assert P0 in lander.paused
    lander.settle()
    assert P0 not in lander.paused
    assert not lander.core.paused
    assert world.landed() == [0, 1, 2, 3]


def test_after_a_pause_the_client_is_told_where_to_read_on() -> None:
    # By itself it may go on behind what it had fetched, and records that came before the driver
    # had paused it would have vouched for that.
    lander = following(world_with(0))
    payload = b'"%b"' % (b"x" * 45_000)
    lander.tell(Records(P0, chunk(0, payload=payload)))
    lander.wait(0)
    lander.wait(0.6)
    actions = [a for r in list(lander.requests) for a in lander.tell(lander.world.perform(r))]
    assert Seek(P0, 1) in actions
    assert Seek(P0, 1) in lander.tell(Records(P0, chunk(4)))


# What keeps a partition from being landed --------------------------------------------------------


def failure(lander: Lander) -> tuple[float, str] | None:
    found = lander.core.chains[P0].failure(lander.now)
    return tuple(found) if found else None


def test_a_refused_put_is_a_failure_from_its_first_attempt_until_one_succeeds() -> None:
    lander = holding(world_with(3))
    asked = lander.now
    assert failure(lander) is None
    for _ in range(3):
        lander.now += 4.0
        lander.answer(PutOutcome.REFUSED)
    assert failure(lander) == (asked, "scripted")
    lander.settle()
    assert lander.world.landed() == [0, 1, 2]
    assert failure(lander) is None


def test_looking_after_an_unknown_put_does_not_make_it_a_success() -> None:
    lander = holding(world_with(3))
    asked = lander.now
    lander.answer(PutOutcome.UNKNOWN, "the store does not answer")
    assert failure(lander) == (asked, "the store does not answer")
    lander.tell(lander.world.perform(lander.requests.pop(0)))  # no object is there: PUT again
    assert isinstance(lander.requests[0], Put)
    assert failure(lander) == (asked, "the store does not answer")
    lander.settle()
    assert failure(lander) is None


def test_an_object_of_another_lander_ends_the_failure_too() -> None:
    lander = holding(world_with(3))
    lander.answer(PutOutcome.REFUSED)
    land(lander.world, 0, 1, 2)
    lander.settle()
    assert failure(lander) is None


def test_a_request_without_an_answer_becomes_a_failure() -> None:
    lander = holding(world_with(3))
    asked = lander.now
    lander.wait(9.9)
    assert failure(lander) is None
    lander.wait(0.2)
    assert failure(lander) == (asked, "Put: no answer yet")
    lander.settle()
    lander.wait(60.0)
    assert failure(lander) is None


def test_a_chain_whose_end_cannot_be_found_fails_until_it_is() -> None:
    lander = Lander(world_with(3))
    lander.assign(P0)
    lander.answer("Kafka is away")
    assert failure(lander) == (0.0, "Kafka is away")
    lander.settle()
    assert failure(lander) is None


def test_a_stalled_partition_stays_a_failure() -> None:
    lander = following(world_with(3))
    lander.feed()
    lander.wait(MAX_AGE_S)
    lander.answer(PutOutcome.EXISTS)
    corrupt(lander)
    lander.wait(100.0)
    assert failure(lander) == (MAX_AGE_S, "sha256 differs")
