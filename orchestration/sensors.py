"""Tasks that wait without a process: they hand their question to the triggerer.

What asks is imported where it is needed: DAG files import this module, and are parsed every half
minute.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
)
from airflow.triggers.base import BaseTrigger, TriggerEvent

from ingestion.errors import TapehouseError
from orchestration import alerts
from orchestration.edges import landed as edges_of
from orchestration.edges import told

if TYPE_CHECKING:
    from airflow.sdk.types import RuntimeTaskInstanceProtocol

    from ingestion.land.drain import Progress
    from orchestration.arrived import Arrivals, Arrived
    from orchestration.edges import Told
    from orchestration.landed import Bronze, Target

_PERIOD_S: Final = 2.0
_ARRIVAL_PERIOD_S: Final = 5.0  # it also reads the lake's metadata
_PATIENCE: Final = timedelta(minutes=10)


class _BronzeSensor(BaseOperator):
    """Knows in the end how far bronze went, which is the first edge of a run's lineage."""

    ends: Mapping[str, int] = MappingProxyType({})

    def get_openlineage_facets_on_complete(
        self, task_instance: "RuntimeTaskInstanceProtocol"
    ) -> "Told":
        """Return what the lander moved; the OpenLineage provider asks when a task has ended."""
        del task_instance
        return told(edges_of(self.ends))


class LandedSensor(_BronzeSensor):
    """Wait until bronze holds all that Kafka had when the task began, whatever comes after it.

    Another try would wait for what Kafka has by then: where ``patience`` is over, the task fails.
    """

    def __init__(
        self,
        *,
        patience: timedelta = _PATIENCE,
        **kwargs: Any,  # noqa: ANN401 - the base class's
    ) -> None:
        super().__init__(**kwargs)
        self.patience = patience

    def execute(self, context: Context) -> int:
        """Look once; what is not there yet is the triggerer's to wait for.

        Raises:
            AirflowException: Kafka or the store does not answer.
            AirflowFailException: one of them refuses, or bronze contradicts itself.
        """
        targets, behind = _looked()
        if behind:
            self.log.info("waiting for %d offsets", sum(one.missing for one in behind))
            until = datetime.now(UTC) + self.patience
            trigger = LandedTrigger([list(one) for one in targets], until.isoformat())
            # The triggerer gives up by itself; it may also be gone for a while.
            self.defer(trigger=trigger, method_name="landed", timeout=2 * self.patience)
        return self.landed(context, {"ends": _ends(targets)})

    def landed(self, context: Context, event: dict[str, Any]) -> int:
        """Take the triggerer's answer.

        Raises:
            AirflowFailException: it met what no waiting helps against, or has waited long enough.
        """
        if "error" in event:
            raise AirflowFailException(event["error"])
        self.ends = event["ends"]
        context["ti"].xcom_push("report", self.ends)
        return sum(self.ends.values())


class LandedTrigger(BaseTrigger):
    """Asks every two seconds until a moment; ``targets`` are rows of `Target`, as JSON has them."""

    def __init__(
        self,
        targets: Sequence[Sequence[Any]],
        until: str,
        open_bronze: "Callable[[], Bronze] | None" = None,
    ) -> None:
        from orchestration.landed import Bronze, Target

        super().__init__()  # type: ignore[no-untyped-call]
        self.targets, self.until = [Target(*one) for one in targets], until
        self._open = open_bronze or Bronze
        self._bronze: Bronze | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        return path, {"targets": [list(one) for one in self.targets], "until": self.until}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        while True:
            try:
                behind = await asyncio.to_thread(self._behind)
            except TapehouseError as error:
                if not error.transient or _is_over(self.until):
                    yield TriggerEvent({"error": str(error)})
                    return
                self.log.warning("asking again: %s", error)
            else:
                if not behind:
                    yield TriggerEvent({"ends": _ends(self.targets)})
                    return
                if _is_over(self.until):
                    yield TriggerEvent({"error": _told_behind(behind)})
                    return
            await asyncio.sleep(_PERIOD_S)

    def _behind(self) -> "list[Progress]":
        self._bronze = self._bronze or self._open()
        return self._bronze.behind(self.targets)


class ArrivalSensor(_BronzeSensor):
    """Wait until bronze holds records of a topic that the lake has not; skip where none come.

    It returns how many wait, and reports where bronze ends, as `LandedSensor` does. A scheduled run
    of a session that is open, or just over, also tells that none came.
    """

    def __init__(
        self,
        *,
        topic: str,
        table: str,
        patience: timedelta,
        **kwargs: Any,  # noqa: ANN401 - the base class's
    ) -> None:
        super().__init__(**kwargs)
        self.topic, self.table, self.patience = topic, table, patience

    def execute(self, context: Context) -> None:
        """Hand the question to the triggerer."""
        until = datetime.now(UTC) + self.patience
        trigger = ArrivalTrigger(self.topic, self.table, until.isoformat())
        # The triggerer gives up by itself, which is no failure; it may also be gone for a while.
        self.defer(trigger=trigger, method_name="arrived", timeout=2 * self.patience)

    def arrived(self, context: Context, event: dict[str, Any]) -> int:
        """Take the triggerer's answer.

        Raises:
            AirflowSkipException: nothing has arrived.
            AirflowFailException: it met what no waiting helps against.
        """
        if "error" in event:
            raise AirflowFailException(event["error"])
        if not event["waiting"]:
            text = f"nothing of {self.topic} in bronze beyond {self.table}"
            if self._is_of_now(context):
                alerts.silent(context, f"{text}, with the exchange open")
            raise AirflowSkipException(text)
        self.ends = event["ends"]
        context["ti"].xcom_push("report", self.ends)
        return int(event["waiting"])

    def _is_of_now(self, context: Context) -> bool:
        """Return whether the waiting began before the interval after the run's own would be over.

        A scheduled run's interval is one of a session, but of the last one where Airflow was
        switched on at night or on a holiday: then nothing has to arrive.
        """
        run = context["dag_run"]
        start, end = run.data_interval_start, run.data_interval_end
        if run.run_type != "scheduled" or start is None or end is None:
            return False
        return datetime.now(UTC) - self.patience <= end + (end - start)


class ArrivalTrigger(BaseTrigger):
    """Asks every five seconds how many records wait, until there are some, or until a moment."""

    def __init__(
        self,
        topic: str,
        table: str,
        until: str,
        open_arrivals: "Callable[[str, str], Arrivals] | None" = None,
    ) -> None:
        from orchestration.arrived import Arrivals

        super().__init__()  # type: ignore[no-untyped-call]
        self.topic, self.table, self.until = topic, table, until
        self._open = open_arrivals or Arrivals
        self._arrivals: Arrivals | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        return path, {"topic": self.topic, "table": self.table, "until": self.until}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        while True:
            try:
                found = await asyncio.to_thread(self._look)
            except TapehouseError as error:
                if not error.transient or _is_over(self.until):
                    yield TriggerEvent({"error": str(error)})
                    return
                self.log.warning("asking again: %s", error)
            else:
                if found.waiting or _is_over(self.until):
                    yield TriggerEvent(found._asdict())
                    return
            await asyncio.sleep(_ARRIVAL_PERIOD_S)

    def _look(self) -> "Arrived":
        self._arrivals = self._arrivals or self._open(self.topic, self.table)
        return self._arrivals.look()


def _is_over(until: str) -> bool:
    return datetime.now(UTC) >= datetime.fromisoformat(until)


def _told_behind(behind: "Sequence[Progress]") -> str:
    rows = [f"{x.partition}: expected {x.end}, found {x.landed}" for x in behind]
    return f"bronze did not come in time to where Kafka ended: {'; '.join(rows)}"


def _looked() -> "tuple[list[Target], list[Progress]]":
    from orchestration.landed import Bronze

    try:
        bronze = Bronze()
        targets = bronze.ends()
        return targets, bronze.behind(targets)
    except TapehouseError as error:
        kind = AirflowException if error.transient else AirflowFailException
        raise kind(str(error)) from error


def _ends(targets: "Sequence[Target]") -> dict[str, int]:
    return {one.place: one.end for one in targets}
