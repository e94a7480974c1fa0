"""Rows 14, 16 and 17: a store that answers otherwise than it did, or gets what was not sent."""

from functools import partial
from typing import Final

from drill.matrix.proxy.rules import Action, Rule
from drill.matrix.row import Row
from drill.matrix.rows.through import FAULTS, behind_proxy, heal, note_alarms, prove_done
from drill.matrix.stage import Stage


def overloaded(stage: Stage) -> None:
    """Answer 30 % of all requests with 503, and lose the acknowledgement of half of the PUTs."""
    proxy = behind_proxy(stage)
    seed = stage.options.seed
    proxy.inject(
        Rule("slow-down", Action.ANSWER, "", "/bronze", 0.3, seed, status=503),
        Rule("lost-ack", Action.APPLY_ANSWER, "PUT", "/bronze", 0.3, seed + 1, status=500),
        Rule("dropped", Action.APPLY_RESET, "PUT", "/bronze", 0.3, seed + 2),
    )
    prove_done(stage, proxy, "slow-down", "requests answered 503 SlowDown, not applied")
    prove_done(stage, proxy, "lost-ack", "PUTs applied and answered 500")
    prove_done(stage, proxy, "dropped", "PUTs applied, and the connection reset")
    for name in ("lost-ack", "dropped"):
        stage.prove(
            f"the store had taken what was {name}",
            partial(lambda rule: proxy.report().store(rule)["200"] > 0, name),
        )
    heal(stage, proxy)
    note_alarms(stage, "put_unknown")


def damaged(stage: Stage) -> None:
    """Cut uploads in half, flip a byte of others, give others a checksum that is not theirs."""
    proxy = behind_proxy(stage)
    kinds = {
        "truncated": (Action.TRUNCATE, "uploads cut in half"),
        "corrupt": (Action.CORRUPT, "uploads with a byte flipped on the way"),
        "wrong-checksum": (Action.WRONG_CHECKSUM, "uploads with a Content-MD5 not theirs"),
    }
    proxy.inject(
        *(
            Rule(name, action, "PUT", "/bronze", 0.4, stage.options.seed + number, FAULTS)
            for number, (name, (action, _)) in enumerate(kinds.items())
        )
    )
    for name, (_, what) in kinds.items():
        prove_done(stage, proxy, name, what, FAULTS, 120)
    for name in ("corrupt", "wrong-checksum"):
        stage.prove(
            f"the store refused all that were {name} with 400",
            partial(lambda rule: proxy.report().store(rule) == {"400": FAULTS}, name),
        )
    heal(stage, proxy)
    note_alarms(stage, "put_unknown")


def conflicts(stage: Stage) -> None:
    """Answer 409, and send some PUTs twice, so that the own first makes the second a 412."""
    proxy = behind_proxy(stage)
    seed = stage.options.seed
    proxy.inject(
        Rule("conflict", Action.ANSWER, "PUT", "/bronze", 0.5, seed, FAULTS, 409),
        Rule("own-retry", Action.APPLY_REPEAT, "PUT", "/bronze", 0.5, seed + 1, FAULTS),
    )
    prove_done(stage, proxy, "conflict", "PUTs answered 409, not applied", FAULTS)
    prove_done(stage, proxy, "own-retry", "PUTs sent twice", FAULTS)
    stage.prove(
        "the store answered the second of each 412",
        lambda: proxy.report().store("own-retry") == {"200": FAULTS, "412": FAULTS},
    )
    heal(stage, proxy)
    note_alarms(stage, "adopted")


ROWS: Final = (
    Row(
        14,
        "store answers 503 to 30 %, 500 or a reset after it applied",
        overloaded,
        frozenset({"unknown-is-landed"}),
    ),
    Row(
        16,
        "uploads truncated, a byte flipped, a wrong checksum",
        damaged,
        frozenset({"unknown-is-landed"}),
    ),
    Row(17, "409, and 412 on the own retry", conflicts, frozenset({"conflict-is-landed"})),
)
