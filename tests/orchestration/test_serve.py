"""Serving to PostgreSQL is no task of those who have none."""

from typing import Any, cast

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from orchestration.operators import CommandOperator
from orchestration.serve import ServeOperator


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Commands that ran."""
    found: list[str] = []
    monkeypatch.setattr(CommandOperator, "execute", lambda self, _: found.append(self.task_id))
    return found


def serve() -> None:
    operator = ServeOperator(task_id="serve", command=["dbt_stocks", "publish", "--to", "postgres"])
    operator.execute(cast("Any", {}))


@pytest.mark.parametrize("url", [None, ""])
def test_without_a_database_it_is_skipped(
    ran: list[str], monkeypatch: pytest.MonkeyPatch, url: str | None
) -> None:
    monkeypatch.delenv("SERVING_POSTGRES_URL", raising=False)
    if url is not None:
        monkeypatch.setenv("SERVING_POSTGRES_URL", url)

    with pytest.raises(AirflowSkipException, match="SERVING_POSTGRES_URL is not set"):
        serve()
    assert ran == []


def test_with_one_it_runs(ran: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVING_POSTGRES_URL", "postgresql://serving@db/stocks")

    serve()

    assert ran == ["serve"]
