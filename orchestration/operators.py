"""The operator of most tasks: a command of ours, its report as XCom, its failure as a failure."""

from collections.abc import Callable, Mapping, Sequence
from textwrap import shorten
from typing import TYPE_CHECKING, Any, Final

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from orchestration.edges import Edge, Edges, told
from orchestration.process import Command, Done

if TYPE_CHECKING:
    from airflow.sdk.types import RuntimeTaskInstanceProtocol

    from orchestration.edges import Told

REPORT: Final = "report"
# XCom of what a task is there for, without what Airflow adds to it.
SECONDS: Final = "seconds"
# An alert tells the first 1,000 characters of a failure, of which the command is the least.
_COMMAND_CHARS: Final = 120
# What makes a command's words of a run's parameters and times.
Words = Callable[[Mapping[str, Any]], Sequence[str]]


class CommandOperator(BaseOperator):
    """Run ``python -m <command>``, as a person would in a shell.

    ``command`` is its words, or makes them of the task's context. The JSON that the command reports
    becomes the XCom ``report``, its process's time the XCom ``seconds``, of failed commands too. A
    failure that may pass is retried as the task's ``retries`` say; any other fails the task at
    once. ``transient_codes`` are exit codes that mean the former besides what `orchestration.run`
    tells. A command that was stopped before its end has failed so, whatever its exit code.
    ``edges`` are what it moved when it has succeeded, by its report.
    """

    template_fields = ("command",)
    # What was run is known once the context has made it.
    overwrite_rtif_after_execution = True
    ui_color = "#e8f0fe"

    def __init__(
        self,
        *,
        command: Sequence[str] | Words,
        transient_codes: Sequence[int] = (),
        reports: bool = True,
        edges: Edges | None = None,
        **kwargs: Any,  # noqa: ANN401 - the base class's
    ) -> None:
        super().__init__(**kwargs)
        self.words = command if callable(command) else None
        self.command = [] if callable(command) else list(command)
        self.transient_codes = tuple(transient_codes)
        self.reports = reports
        self.edges = edges
        self._moved: list[Edge] = []
        self._running: Command | None = None

    def execute(self, context: Context) -> None:
        """Run the command.

        Raises:
            AirflowException: it failed, and may succeed when tried again.
            AirflowFailException: it failed for good.
        """
        if self.words is not None:
            self.command = list(self.words(context))
        self.log.info("python -m %s", " ".join(self.command))
        self._running = Command(self.command, self.reports)
        done = self._running.run(lambda line: self.log.info("%s", line))
        context["ti"].xcom_push(SECONDS, round(done.seconds, 3))
        if done.report:
            context["ti"].xcom_push(REPORT, done.report)
        if done.code or done.cut_short:
            self._fail(done)
        self._moved = list(self.edges(done.report)) if self.edges else []

    def get_openlineage_facets_on_complete(
        self, task_instance: "RuntimeTaskInstanceProtocol"
    ) -> "Told":
        """Return what it moved; the OpenLineage provider asks when a task has ended."""
        del task_instance
        return told(self._moved)

    def on_kill(self) -> None:
        """End the command with its task."""
        if self._running is not None:
            self._running.stop()

    def _fail(self, done: Done) -> None:
        command = shorten(" ".join(self.command), _COMMAND_CHARS, placeholder=" …")
        early = f", expected all of its work done, found {done.cut_short}" if done.cut_short else ""
        text = f"`python -m {command}` ended with {done.code}{early}:\n{done.tail}"
        if done.is_transient(self.transient_codes):
            raise AirflowException(text)
        raise AirflowFailException(text)
