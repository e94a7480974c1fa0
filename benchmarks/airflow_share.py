"""Whose the seconds of a run are: its commands' and dbt's, or Airflow's. Pure."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

_DBT = "dbt."


class Spent(NamedTuple):
    """A run whose tasks go one after another: its wall time, and that of its tasks, by name.

    ``told`` is what a task told of itself: the time of its command's process, the time that dbt
    took for the node. The rest of a task is Airflow's, and so is all of a task that tells nothing
    (a sensor that waits, the summary) and what lies between tasks.
    """

    wall: float
    tasks: Mapping[str, float]
    told: Mapping[str, float]

    def airflow(self) -> float:
        """Return Airflow's seconds."""
        return self.wall - sum(self.told.values())

    def share(self) -> float:
        """Return Airflow's share of the wall time, in percent."""
        return 100 * self.airflow() / self.wall

    def silent(self) -> float:
        """Return the seconds of tasks that tell nothing."""
        return sum(seconds for name, seconds in self.tasks.items() if name not in self.told)

    def between(self) -> float:
        """Return the seconds in which no task ran."""
        return self.wall - sum(self.tasks.values())

    def overheads(self) -> list[float]:
        """Return what each task took besides what it told."""
        return [self.tasks[name] - told for name, told in self.told.items()]

    def nodes(self) -> list[float]:
        """Return the seconds of each dbt node's task."""
        return [seconds for name, seconds in self.tasks.items() if name.startswith(_DBT)]

    def rest(self) -> float:
        """Return the seconds of the run without those of dbt nodes' tasks."""
        return self.wall - sum(self.nodes())


def p95(values: Sequence[float]) -> float:
    """Return the least value that 95 % of them do not exceed."""
    return sorted(values)[-(-len(values) * 95 // 100) - 1]


def verdict(found: float, aim: float | None) -> str:
    """Return whether an aim was met; nothing where there is none."""
    if aim is None:
        return ""
    return "met" if found <= aim else "missed"
