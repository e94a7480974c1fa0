"""Row 23: trades in no order, up to two days late, and from the future."""

import random
from collections import Counter
from typing import Final

from drill.matrix import late
from drill.matrix.errors import ViolatedError
from drill.matrix.lake import LANDERS, LOAD_RATE, Lake
from drill.matrix.members import partition_of
from drill.matrix.row import Row
from drill.matrix.sender import Stamped, send
from drill.matrix.sight import Ends
from drill.matrix.stage import Stage
from ingestion.clock import SystemClock
from ingestion.contracts.topics import REALTIME
from ingestion.produce.ledger import Ledger
from ingestion.produce.outgoing import of_message

_TRADES: Final = 6_000
_WAVES: Final = 2
_SIZES: Final = (1, 10, 100, 1_000, 10**9)


def late_waves(stage: Stage) -> None:
    """Send trades in no order, up to 48 h late, in two waves, the second after the windows."""
    stage.landers(2, LANDERS)
    stage.steady()
    draw = random.Random(stage.options.seed)  # noqa: S311 - not a secret
    lake, before = Lake(stage), stage.require_ends()
    for wave in range(1, _WAVES + 1):
        _wave(stage, draw, f"r{stage.row}-{wave}")
        counts = lake.job("run", "compact", "window-metrics")
        stage.notes[f"windows_of_wave_{wave}"] = _written(counts["window-metrics"])
    stage.healed()
    _judge_sizes(stage, before)
    _judge_windows(stage, lake)
    days = ("--start", f"{late.START:%Y-%m-%d}", "--end", f"{late.NOW:%Y-%m-%d}")
    stage.notes["windows_of_recompute"] = _written(
        lake.job("window-metrics", *days)["window-metrics"]
    )
    stage.expect("a recompute of the sessions changes nothing", lambda: _unchanged(stage), 0)
    lake.require_sound()


def _wave(stage: Stage, draw: random.Random, run_id: str) -> None:
    clock = SystemClock()
    now = clock.now()
    made = [*late.trades(run_id, _TRADES // _WAVES, draw)]
    stage.notes["latest_h"] = round(max(seconds for _, seconds in made) / 3600, 1)
    records = [
        Stamped(of_message(one), int((now.timestamp() - seconds) * 1000)) for one, seconds in made
    ]
    records += [Stamped(of_message(one)) for one in late.future(run_id, now, draw)]
    draw.shuffle(records)
    with Ledger(stage.folder / "ledger", run_id, clock) as ledger:
        send(records, ledger)
    stage.proofs.append(f"{run_id}: {len(records)} trades sent in no order, 0 to 48 h late")
    stage.expect_progress(f"bronze has {run_id}")


def _written(counts: dict[str, dict[str, int]]) -> int:
    return sum(counts["written"].values())


def _unchanged(stage: Stage) -> bool:
    return stage.notes["windows_of_recompute"] == 0


def _judge_sizes(stage: Stage, before: Ends) -> None:
    """Require that no object of the waves holds a single record, and show how many they hold."""
    lines = [line for one in stage.members for line in one.said("landed")]
    counts = [
        line["count"]
        for line in lines
        if line["partition"] in {str(p) for p in before if p.topic == REALTIME}
        and line["start"] >= before[partition_of(line["partition"])]
    ]
    found = Counter(next(size for size in _SIZES if count <= size) for count in counts)
    shown = ", ".join(f"{found[size]} of up to {size}" for size in sorted(found))
    stage.notes |= {f"objects_up_to_{size}_records": n for size, n in sorted(found.items())}
    if not found or found[1]:
        raise ViolatedError(f"an object of a single record, or none at all: {shown}")
    stage.reactions.append(f"objects by records: {shown}")


_WINDOWS: Final = """
    with latest as (
        select * from windows where source = $source qualify row_number() over (
            partition by symbol, source, session_date, window_end_at order by revision desc) = 1
    ),
    counted as (
        select w.symbol, w.window_end_at, any_value(w.n_obs_{w}) as n, any_value(w.ma_{w}) as ma,
            any_value(w.volume_sum_{w}) as volume, count(t.price) as n_again,
            avg(t.price::double) as ma_again, coalesce(sum(t.size), 0) as volume_again
        from latest as w left join trades as t
            on t.symbol = w.symbol and t.source = w.source
            and t.event_at >= w.window_{w}_start_at and t.event_at < w.window_end_at
        group by all
    )
    select count(*), count(*) filter (n <> n_again or volume <> volume_again
        or (ma is null) <> (ma_again is null) or abs(ma - ma_again) > 1e-9 * ma_again)
    from counted
"""


def _judge_windows(stage: Stage, lake: Lake) -> None:
    """Compute counts, volumes and means of every window again, from the trades and in SQL."""
    with lake.tables() as tables:
        for width in ("15m", "1h"):
            query = _WINDOWS.replace("{w}", width)
            rows, wrong = tables.execute(query, {"source": late.SOURCE}).fetchall()[0]
            if wrong or not rows:
                raise ViolatedError(f"{wrong} of {rows} windows of {width} are not their trades'")
            stage.reactions.append(f"{rows} windows of {width} recomputed from the trades: equal")


ROWS: Final = (
    Row(23, "out of order, 0 to 48 h late, from the future", late_waves, brokers=1, rate=LOAD_RATE),
)
