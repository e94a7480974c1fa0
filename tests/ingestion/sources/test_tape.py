"""Simulated sessions against the bars that they have to honour."""

import random
import subprocess
import sys
from datetime import date
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.calendar import Calendar
from ingestion.sources import path, tape
from ingestion.sources.daily_bar import CENT, DailyBar
from ingestion.sources.tape import Tape, microseconds

FRACTION = Decimal("0.04")


def recorded_tape(bar: DailyBar, seed: int = 7, fraction: Decimal = FRACTION) -> Tape:
    found = tape.record(bar, seed, fraction)
    assert found is not None
    return found


def assert_honours(found: Tape, fraction: Decimal) -> None:
    bar, price, size = found.bar, found.price, found.size
    assert (price[0], price[-1]) == (bar.open, bar.close)
    assert (price.max(), price.min()) == (bar.high, bar.low)
    own = np.isin(price, [bar.open, bar.high, bar.low, bar.close])
    assert np.all(own | (price % CENT == 0)), "only the bar's own prices may be off the grid"
    assert size.sum() == tape.shares(bar.volume, fraction)
    assert size.min() >= 1
    assert size[-1] == size.max(), "the closing auction is the largest print"
    assert found.at[0] >= microseconds(bar.session.open_at)
    assert found.at[-1] < microseconds(bar.session.close_at)
    assert np.all(np.diff(found.at) >= 0)
    assert np.all(found.fetched_at > found.at)


def test_recorded_bars_are_honoured(all_bars: list[DailyBar]) -> None:
    chosen = random.Random(1).sample(all_bars, 400)

    for bar in chosen:
        assert_honours(recorded_tape(bar), FRACTION)


def test_bars_off_the_grid_are_honoured(all_bars: list[DailyBar]) -> None:
    off = [b for b in all_bars if any(p % CENT for p in (b.open, b.high, b.low, b.close))]
    assert len(off) == 1_325

    for bar in off[::5]:
        assert_honours(recorded_tape(bar), FRACTION)


def test_half_days_are_honoured(all_bars: list[DailyBar]) -> None:
    half = [bar for bar in all_bars if bar.session.is_half_day]
    assert date(2012, 11, 23) in {bar.session.session_date for bar in half}

    for bar in half:
        assert_honours(recorded_tape(bar), FRACTION)


@st.composite
def bars(draw: st.DrawFn, session: date = date(2013, 3, 1)) -> tuple[int, int, int, int, int]:
    low = draw(st.integers(1, 10**9))
    high = low + draw(st.integers(0, 10**7))
    inside = st.integers(low, high) | st.sampled_from([low, high])
    return draw(inside), high, low, draw(inside), draw(st.integers(tape.MIN_SHARES, 10**8))


@given(bars(), st.integers(0, 2**32), st.sampled_from(["0.0001", "0.01", "0.3"]))
def test_any_bar_is_honoured(
    nyse: Calendar, ohlcv: tuple[int, int, int, int, int], seed: int, fraction: str
) -> None:
    session = nyse.session(date(2012, 11, 23))
    assert session is not None
    bar = DailyBar("X", session, *ohlcv, previous_close=None)

    found = recorded_tape(bar, seed, Decimal(fraction))

    if bar.high == bar.low or len(found) >= 4:
        assert_honours(found, Decimal(fraction))
    else:
        pytest.fail(f"only {len(found)} trades for {bar}")


def test_a_price_that_does_not_move_still_touches_both_extremes(nyse: Calendar) -> None:
    session = nyse.session(date(2013, 3, 1))
    assert session is not None
    bar = DailyBar("X", session, 50_000, 90_000, 10_000, 60_000, 100, None)
    moment, burst = np.array([0.0, 0.4, 0.6, 1.0]), np.arange(4)

    for seed in range(50):
        found = path.prices(np.random.default_rng(seed), bar, moment, burst)
        assert sorted(found) == [10_000, 50_000, 60_000, 90_000]


def test_a_volume_too_small_to_split_gives_no_trades(nyse: Calendar) -> None:
    session = nyse.session(date(2013, 3, 1))
    assert session is not None

    assert tape.record(DailyBar("X", session, 1, 2, 1, 2, 99, None), 7, FRACTION) is None


def test_the_sizes_are_the_stated_fraction_of_the_volume(all_bars: list[DailyBar]) -> None:
    bar = next(b for b in all_bars if b.symbol == "AAPL" and b.volume == 19_730_300)

    assert recorded_tape(bar).size.sum() == int(Decimal(19_730_300) * FRACTION)
    assert recorded_tape(bar, fraction=Decimal(1)).size.sum() == 19_730_300


def test_a_thin_name_still_trades(all_bars: list[DailyBar]) -> None:
    thin = min(all_bars, key=lambda bar: bar.volume)

    assert len(recorded_tape(thin, fraction=Decimal("0.000001"))) > tape.MIN_TRADES / 2


def fingerprint(found: Tape) -> bytes:
    return b"".join(a.tobytes() for a in (found.at, found.fetched_at, found.price, found.size))


def test_the_order_of_sessions_does_not_matter(all_bars: list[DailyBar]) -> None:
    chosen = random.Random(2).sample(all_bars, 20)

    forward = [fingerprint(recorded_tape(bar)) for bar in chosen]
    backward = [fingerprint(recorded_tape(bar)) for bar in reversed(chosen)]

    assert forward == backward[::-1]


def test_another_process_draws_the_same(nyse: Calendar) -> None:
    session = nyse.session(date(2013, 3, 1))
    assert session is not None
    program = (
        "import sys; from decimal import Decimal; from datetime import date\n"
        "from ingestion import calendar; from ingestion.sources import tape\n"
        "from ingestion.sources.daily_bar import DailyBar\n"
        "s = calendar.get().session(date(2013, 3, 1))\n"
        "t = tape.record(DailyBar('X', s, 5, 9, 1, 7, 10**6, None), 7, Decimal('0.04'))\n"
        "columns = t.at, t.fetched_at, t.price, t.size\n"
        "sys.stdout.buffer.write(b''.join(column.tobytes() for column in columns))"
    )

    theirs = subprocess.check_output([sys.executable, "-c", program])

    ours = recorded_tape(DailyBar("X", session, 5, 9, 1, 7, 10**6, None))
    assert theirs == fingerprint(ours)


@pytest.mark.parametrize("changed", ["seed", "symbol", "session"])
def test_each_of_seed_symbol_and_session_gives_other_trades(
    all_bars: list[DailyBar], nyse: Calendar, changed: str
) -> None:
    bar = all_bars[0]
    session = nyse.session(date(2000, 3, 2)) if changed == "session" else bar.session
    assert session is not None
    symbol = "OTHER" if changed == "symbol" else bar.symbol
    other = DailyBar(
        symbol, session, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.previous_close
    )

    left = recorded_tape(bar)
    right = recorded_tape(other, seed=8 if changed == "seed" else 7)

    assert left.price.tobytes() != right.price.tobytes()
    assert left.size.tobytes() != right.size.tobytes()


def price_changes(found: Tape) -> np.ndarray:
    return np.diff(found.price).astype(float)


def test_the_tape_looks_like_a_real_one(all_bars: list[DailyBar]) -> None:
    """Medians over sessions, in loose bands around what real ticks show."""
    chosen = [recorded_tape(bar) for bar in random.Random(3).sample(all_bars, 150)]
    zero = np.median([np.mean(price_changes(t) == 0) for t in chosen])
    bounce = np.median(
        [np.corrcoef(price_changes(t)[:-1], price_changes(t)[1:])[0, 1] for t in chosen]
    )
    shared = np.median([1 - np.mean(alone(t)) for t in chosen])
    odd = np.median([np.mean(t.size < 100) for t in chosen])

    assert 0.55 < zero < 0.90  # 0.59 to 0.90 in real ticks
    assert -0.45 < bounce < -0.34  # as in real ticks
    assert 0.35 < shared < 0.69
    assert 0.30 < odd < 0.50


def alone(found: Tape) -> np.ndarray:
    same = np.diff(found.at) == 0
    return ~(np.append(same, False) | np.insert(same, 0, False))


def test_activity_is_u_shaped_and_ends_in_the_largest_auction(all_bars: list[DailyBar]) -> None:
    share = np.zeros(13)
    for bar in random.Random(4).sample([b for b in all_bars if b.session.n_minutes == 390], 150):
        found = recorded_tape(bar)
        bucket = (found.at - microseconds(bar.session.open_at)) // (1_800 * 1_000_000)
        share += np.bincount(bucket, found.size, minlength=13) / found.size.sum()
    share /= share.sum()

    real = [
        0.099, 0.082, 0.071, 0.067, 0.063, 0.049, 0.045, 0.047, 0.045, 0.049, 0.055, 0.068, 0.260,
    ]  # fmt: skip
    assert share == pytest.approx(real, abs=0.012)
    assert share[0] > 1.5 * share[6] < share[12]


def test_volatility_falls_from_the_open_and_rises_to_the_close(all_bars: list[DailyBar]) -> None:
    """One-minute returns by half-hour, against those of a broad ETF; each beside its mean."""
    variance = np.zeros(13)
    for bar in random.Random(4).sample([b for b in all_bars if b.session.n_minutes == 390], 150):
        found = recorded_tape(bar)
        minutes = microseconds(bar.session.open_at) + np.arange(391) * 60_000_000
        last = np.maximum(np.searchsorted(found.at, minutes, side="right") - 1, 0)
        by_half_hour = np.square(np.diff(np.log(found.price[last]))).reshape(13, 30).mean(axis=1)
        variance += by_half_hour / by_half_hour.mean()
    sd = np.sqrt(variance)

    real = np.array([4.1, 3.6, 3.4, 3.3, 3.1, 2.5, 2.2, 2.7, 2.4, 3.4, 2.5, 2.6, 3.6])
    assert sd / sd.mean() == pytest.approx(real / real.mean(), abs=0.22)
    assert np.corrcoef(sd, real)[0, 1] > 0.85


def test_prices_of_whole_cents_stay_on_them(all_bars: list[DailyBar]) -> None:
    """Also a bar off the grid is traded on it, but where it must touch its own four prices."""
    for bar in random.Random(5).sample(all_bars, 50):
        own = {bar.open, bar.high, bar.low, bar.close}
        assert {price for price in recorded_tape(bar).price.tolist() if price % CENT} <= own
