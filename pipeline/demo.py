"""The demo: recorded bars and simulated trades through every stage, then what came out."""

import json
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dbt_stocks.reader import GoldReader
from ingestion.clock import SystemClock, rfc3339
from ingestion.errors import TapehouseError
from ingestion.settings import ROOT, LakeSettings, ProjectSettings, StoreSettings, WarehouseSettings
from pipeline import counts, job, local
from pipeline.counts import Counts
from pipeline.kill import LanderKill, lander_kill
from pipeline.lock import alone
from pipeline.memory import PeakMemory
from pipeline.screen import Screen
from pipeline.stages import Outcome, Runner, Stage

STACK_UP = Stage("stack up", ("infra.local", "up"), lambda _: "Kafka, store, lander", reports=False)
_KPI = """
select symbol, session_date, current_price, change_price, round(change_pct, 2) as change_pct,
    day_low_price, day_high_price, volume_shares, market_state, source, simulated
from gold.gold_kpi
order by symbol
"""
_SHOWN = ("kafka", "bronze", "lake", "rejected", "deduplicated", "warehouse", "silver")


class Demo:
    """One run; ``with_kill`` ends the lander once while records are under way.

    ``is_local``: the records are those of providers that run on this machine.
    """

    def __init__(self, screen: Screen, with_kill: bool, is_local: bool = False) -> None:
        self.state = ProjectSettings.load()
        self.screen = screen
        self.memory = PeakMemory(self.state.state("run", "supervisord.pid"))
        self.outcomes: list[Outcome] = []
        self._with_kill = with_kill
        self._is_local = is_local
        self._kill: LanderKill | None = None
        self._runner = Runner(self.state.state("demo"), self._tick)

    @staticmethod
    def n_stages(is_local: bool = False) -> int:
        """Return how many stages a run has."""
        return (4 if is_local else 3) + len(job.after_produce())

    def run(self) -> None:
        """Run every stage, then show the results and write the report.

        Raises:
            RunInProgressError: another run is under way in this state folder; nothing was done.
            TapehouseError: a stage failed, or its results could not be read; the report says
                which, and what came before it.
        """
        with alone(self.state):
            head = {"started_at": rfc3339(SystemClock().now())}
            self._report().unlink(missing_ok=True)  # none is better than an earlier run's
            try:
                self._run(head)
            except TapehouseError as error:
                self._write({"ok": False, "error": str(error), **head})
                raise
            finally:
                self.screen.stop()

    def _run(self, head: Mapping[str, Any]) -> None:
        self._stage(STACK_UP)
        before = counts.read(self.screen.line)
        self._produce()
        for stage in job.after_produce():
            self._stage(stage)
        self._conclude(before, counts.read(self.screen.line), {"ok": True, **head})

    def _produce(self) -> None:
        self._kill = lander_kill() if self._with_kill else None
        ledger = ("--ledger", str(self.state.state("ledger")))
        with self._producing(ledger) as stages:
            for stage in stages:
                self._stage(stage)
        if self._kill:
            self._kill_said(self._kill.finish())

    def _producing(self, ledger: tuple[str, ...]) -> AbstractContextManager[Iterable[Stage]]:
        if self._is_local:
            return local.providers(self.state.state("demo"), ledger)
        return nullcontext((job.produce_bars(*ledger), job.produce_trades(*ledger)))

    def _kill_said(self, held: int) -> None:
        self.screen.line(
            f"        kill -9 of the lander while it held at least {held:,} "
            "records that bronze did not have; supervisor starts it again"
        )

    def _stage(self, stage: Stage) -> None:
        outcome = self._runner.run(stage)
        self.outcomes.append(outcome)
        self.screen.finished(stage.name, outcome.seconds, outcome.says)

    def _tick(self, name: str, seconds: float) -> None:
        self.memory.sample()
        if self._kill:
            self._kill.attempt()
        self.screen.running(name, seconds)

    def _conclude(self, before: Counts, after: Counts, head: Mapping[str, Any]) -> None:
        verdict = self.outcomes[-1].report
        self._show_gold()
        self._show_reconciliation(verdict)
        self._show_growth(before, after)
        path = self._write(
            {
                **head,
                "reconciliation": {key: verdict[key] for key in ("verdict", "table")},
                "gold_rows": after.gold,
                "silver_rows": after.silver,
                "added": _added(before, after),
                "sent": self._sent(),
            }
        )
        self._show_places(path)

    def _sent(self) -> int:
        return sum(o.report["delivered"] for o in self.outcomes if o.name.startswith("produce"))

    def _report(self) -> Path:
        return self.state.state("demo", "report.json")

    def _write(self, document: Mapping[str, Any]) -> Path:
        path = self._report()
        stages = [asdict(outcome) for outcome in self.outcomes]
        peak = {
            "stack_mib": round(self.memory.stack_mib),
            "total_mib": round(self.memory.total_mib),
        }
        killed = {"lander_killed_holding": self._kill.held} if self._kill else {}
        body = {**document, **killed, "peak_memory": peak, "stages": stages}
        path.write_text(json.dumps(body, indent=2, default=str) + "\n")
        return path

    def _show_gold(self) -> None:
        with GoldReader(WarehouseSettings.load().published()) as gold:
            self.screen.line()
            self.screen.table(f"gold_kpi, build {gold.build_id()}", gold.query(_KPI))

    def _show_reconciliation(self, verdict: Mapping[str, Any]) -> None:
        rows = [
            {"topic/partition": f"{row['topic']}/{row['partition']}"}
            | {name: row[name] for name in (*_SHOWN, "quarantined", "gap")}
            for row in verdict["table"]
            if row["kafka"] or row["bronze"] or row["gap"]
        ]
        self.screen.line()
        self.screen.table("Reconciliation: records per stage, each from its own storage", rows)

    def _show_growth(self, before: Counts, after: Counts) -> None:
        added = _added(before, after)
        self.screen.line(
            f"sent {self._sent():,}; silver +{added['silver']:,} rows, gold +{added['gold']:,} "
            f"rows, deduplicated +{added['deduplicated']:,}"
        )
        daily = after.gold.get("gold_daily_metrics", 0)
        self.screen.line(
            f"gold_daily_metrics: {daily:,} rows; peak memory: stack {self.memory.stack_mib:,.0f} "
            f"MiB, with the stages {self.memory.total_mib:,.0f} MiB"
        )

    def _show_places(self, report: Path) -> None:
        store = StoreSettings.load()
        warehouse = WarehouseSettings.load()
        lines = {
            "bronze": f"s3://{store.bronze_bucket} at {store.url()}",
            "lake": f"s3://{store.lake_bucket}, catalog {LakeSettings.load().uri()}",
            "warehouse": _shown(warehouse.file()),
            "gold": _shown(warehouse.published() / "current"),
            "report": _shown(report),
            "logs": f"{_shown(self.state.state('log'))}, {_shown(self.state.state('demo'))}",
        }
        self.screen.line()
        for name, place in lines.items():
            self.screen.line(f"{name:<10} {place}")
        self.screen.line(
            "\nNext: `make demo` again (every record is sent again, gold stays as it is);"
        )
        self.screen.line("`make status`; `make audit`; `cd dbt_stocks && ../.venv/bin/dbt test`;")
        self.screen.line("`make demo ARGS=--kill-lander`; `make down` stops the stack.")


def _added(before: Counts, after: Counts) -> dict[str, int]:
    return {
        "silver": sum(after.silver.values()) - sum(before.silver.values()),
        "gold": sum(after.gold.values()) - sum(before.gold.values()),
        "deduplicated": after.deduplicated - before.deduplicated,
    }


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
