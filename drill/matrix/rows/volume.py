"""Row 26: ten times the load for a minute, and landers that start before a cold backlog."""

import time
from typing import Final

from drill.matrix.row import Row
from drill.matrix.sampling import MIB, RSS_LIMIT, Sampler
from drill.matrix.stage import Stage

_TIMES: Final = 10
_SPIKE_S: Final = 60.0
_BACKLOG_S: Final = 30.0
_PROVEN_TIMES: Final = 5  # what a busy machine must manage at least for the row to say something
_DRAINED_S: Final = 180.0
_STARTED_S: Final = 30.0
_ANSWERED_S: Final = 180.0


def spike(stage: Stage) -> None:
    """Send ten times as much for a minute; then have new landers drain what lay for a while."""
    landers = stage.landers(2)
    stage.steady()
    with Sampler(landers) as samples:
        _send(stage, "spike", _SPIKE_S)
        stage.healed()
        stage.notes["spike_lag_s"] = round(stage.catch_up(), 1)
    _judge_memory(stage, samples, "spike")
    for one in landers:
        one.process.end()
    _send(stage, "backlog", _BACKLOG_S)
    _drain(stage)


def _send(stage: Stage, name: str, seconds: float) -> None:
    """Have a second producer send the rest of the load, and prove that it came to something."""
    load = stage.producer(name, (_TIMES - 1) * stage.options.rate)
    stage.prove(f"the {name}'s producer sends", lambda: load.delivered() > 0, _STARTED_S)
    began, before = time.monotonic(), load.delivered()
    least = (_PROVEN_TIMES - 1) * stage.options.rate * seconds
    stage.prove(
        f"{seconds:.0f} s at {_PROVEN_TIMES} to {_TIMES} times the load",
        lambda: time.monotonic() - began >= seconds and load.delivered() - before >= least,
        2 * seconds,
    )
    stage.notes[f"{name}_records"] = load.delivered()
    stage.notes[f"{name}_per_s"] = round((load.delivered() - before) / seconds)
    load.process.terminate()
    stage.expect(
        f"each record of the {name} is confirmed", lambda: load.process.exit_code == 0, _ANSWERED_S
    )


def _drain(stage: Stage) -> None:
    targets = stage.require_ends()
    backlog = stage.sight.missing(targets) or 0
    stage.prove("bronze lacks the backlog", lambda: backlog >= stage.notes["backlog_records"], 0)
    began = time.monotonic()
    with Sampler(stage.landers(2)) as samples:
        stage.healed()
        stage.expect("it is drained", lambda: stage.sight.missing(targets) == 0, _DRAINED_S)
        stage.notes["drained_per_s"] = round(backlog / (time.monotonic() - began))
    _judge_memory(stage, samples, "backlog")


def _judge_memory(stage: Stage, samples: Sampler, name: str) -> None:
    stage.notes[f"{name}_rss_mib"] = round(samples.rss / MIB, 1)
    limit = f"no lander took more than {RSS_LIMIT / 1e6:.0f} MB in the {name}"
    stage.expect(limit, lambda: samples.rss <= RSS_LIMIT, 0)


ROWS: Final = (Row(26, "ten times the load for a minute, a cold backlog", spike, rate=500.0),)
