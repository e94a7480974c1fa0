"""``python -m drill simulate``: seeds, their rate, what happened in them, and what failed."""

import json
from pathlib import Path
from typing import Annotated

import typer

from drill.simulation.mutants import MUTANTS
from drill.simulation.run import Verdict, run_seed
from drill.simulation.sweep import Sweep, minimised, rules_of, sweep

_COLUMNS = 3
_TELL_EVERY_S = 5.0


def simulate(
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds.")] = 1000,
    first: Annotated[int, typer.Option(min=0, help="The first of them.")] = 0,
    seed: Annotated[int | None, typer.Option(help="This seed alone, with its trace.")] = None,
    broken: Annotated[
        str, typer.Option("--break", help=f"Break a rule: {', '.join(MUTANTS)}.")
    ] = "",
    jobs: Annotated[int, typer.Option(min=0, help="Processes; 0 is one a core.")] = 0,
    report: Annotated[Path | None, typer.Option(help="Write a summary as JSON here.")] = None,
) -> None:
    """Run landers in simulated worlds, one a seed, and judge every step of them.

    Exits 0 when every invariant held in every seed, else 1 at the first seed where one did not,
    with what it takes to reproduce it.
    """
    if broken and broken not in MUTANTS:
        raise typer.BadParameter(f"expected one of {', '.join(MUTANTS)}", param_hint="--break")
    if seed is not None:
        _one(seed, broken)
        return
    state = _many(first, seeds, broken, jobs)
    if report is not None:
        report.write_text(json.dumps(_summary(state), indent=1) + "\n")
    if state.failed is not None:
        _explain(minimised(state.failed, broken), state.failed, broken)
        raise typer.Exit(1)


def _many(first: int, seeds: int, broken: str, jobs: int) -> Sweep:
    state, told = Sweep(), 0.0
    for state in sweep(first, seeds, broken, jobs):
        if state.seconds - told >= _TELL_EVERY_S:
            told = state.seconds
            typer.echo(f"{state.seeds} of {seeds} seeds, {state.rate():.0f} seeds/s", err=True)
    _tell(state)
    return state


def _one(seed: int, broken: str) -> None:
    verdict = run_seed(seed, rules_of(broken), tracing=True)
    typer.echo("\n".join([*map(str, verdict.plan.faults), "", *verdict.trace]))
    if verdict.violation:
        raise typer.Exit(1)
    typer.echo(f"seed {seed}: every invariant held")


def _tell(state: Sweep) -> None:
    typer.echo("What happened in these worlds:")
    cells = [f"{count:>9} {what:<36}" for what, count in sorted(state.counts.items())]
    for start in range(0, len(cells), _COLUMNS):
        typer.echo("".join(cells[start : start + _COLUMNS]).rstrip())
    if unmet := state.unmet():
        typer.echo(f"Never happened: {', '.join(unmet)}")
    verdict = "a violation" if state.failed else "every invariant held"
    typer.echo(
        f"{state.seeds} seeds in {state.seconds:.1f} s, {state.rate():.0f} seeds/s "
        f"({state.rate_per_cpu():.0f} per CPU second): {verdict}"
    )


def _explain(small: Verdict, failed: Verdict, broken: str) -> None:
    option = f" --break {broken}" if broken else ""
    faults = f"{len(small.plan.faults)} of its {len(failed.plan.faults)} faults"
    lines = [
        *small.trace,
        "",
        f"seed {failed.seed}: {failed.violation}",
        f"It needs {faults} (the trace above has only these):",
        *(f"  {fault}" for fault in small.plan.faults),
        f"Reproduce: python -m drill simulate --seed {failed.seed}{option}",
    ]
    typer.echo("\n".join(lines))


def _summary(state: Sweep) -> dict[str, object]:
    return {
        "seeds": state.seeds,
        "seconds": round(state.seconds, 3),
        "seeds_per_s": round(state.rate(), 1),
        "seeds_per_cpu_s": round(state.rate_per_cpu(), 1),
        "violation": state.failed.violation if state.failed else None,
        "failed_seed": state.failed.seed if state.failed else None,
        "counts": dict(sorted(state.counts.items())),
        "never_happened": state.unmet(),
    }
