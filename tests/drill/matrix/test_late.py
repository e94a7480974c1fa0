import random
from datetime import UTC, datetime

from drill.matrix import late
from ingestion import calendar
from ingestion.contracts import envelope


def made(seed: int, count: int = 500) -> list[tuple[bytes, float]]:
    draw = random.Random(seed)
    return [(envelope.encode(one), seconds) for one, seconds in late.trades("r", count, draw)]


def test_trades_are_0_to_48_hours_late_in_no_order_and_the_same_for_a_seed() -> None:
    seconds = [lateness for _, lateness in made(1)]

    assert 0 <= min(seconds) < 3600
    assert 47 * 3600 < max(seconds) <= 48 * 3600
    assert seconds not in (sorted(seconds), sorted(seconds, reverse=True))
    assert made(1) == made(1) != made(2)


def test_every_late_trade_lies_in_a_session_of_the_exchange() -> None:
    sessions = calendar.get("XNYS")

    for trade, _ in late.trades("r", 200, random.Random(3)):
        at = datetime.fromisoformat(trade.event_time)
        session = sessions.session(at.date())
        assert session is not None
        assert session.open_at <= at < session.close_at


def test_future_trades_lie_ahead_up_to_the_last_year() -> None:
    now = datetime(2026, 1, 5, tzinfo=UTC)

    found = [one.event_time for one in late.future("r", now, random.Random(1))]

    assert all(datetime.fromisoformat(at) > now for at in found)
    assert found[-1].startswith("9999-12-31")
