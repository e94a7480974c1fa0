"""A failed command as a task tells of it."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from airflow.sdk.exceptions import AirflowFailException

from orchestration import operators
from orchestration.operators import CommandOperator
from orchestration.process import Done


def test_a_long_command_does_not_keep_its_failure_out_of_an_alert(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An alert is cut at a thousand characters."""
    lost = SimpleNamespace(run=lambda _: Done(1, "offsets 5, 6 in bronze, not in the lake"))
    monkeypatch.setattr(operators, "Command", lambda *_: lost)
    words = ["audit", *(f"--until=t/{'a' * 32}/{number}=5" for number in range(40))]
    task = CommandOperator(task_id="reconcile", command=words)

    with pytest.raises(AirflowFailException) as caught:
        task.execute(cast("Any", {}))

    told = str(caught.value)[:1_000]
    assert told.startswith("`python -m audit --until=t/aaa")
    assert "offsets 5, 6 in bronze, not in the lake" in told
