"""Bring Airflow's metadata database up to date, with the pools, variables and connections declared.

Run as ``python -m orchestration.database FOLDER`` before the services start: one process for what
four commands of Airflow's take twenty seconds for.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from airflow.models import Connection, Pool, Variable
from airflow.utils.db import initdb
from airflow.utils.session import create_session
from sqlalchemy import select
from sqlalchemy.orm import Session

from ingestion.settings import AirflowSettings


def prepare(folder: Path) -> None:
    """Create or migrate the database, and write what the files in ``folder`` declare."""
    initdb()
    with create_session() as session:
        for name, declared in _declared(folder / "pools.yml").items():
            Pool.create_or_update_pool(
                name, declared["slots"], declared["description"], False, session=session
            )
        for name, declared in _declared(folder / "variables.yml").items():
            _variable(session, name, declared)
        for name, declared in _declared(folder / "connections.yml").items():
            _connection(session, name, declared)


def _declared(path: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text())
    return found


def _variable(session: Session, name: str, declared: Mapping[str, Any]) -> None:
    """Write a variable that is missing: what operators have changed is theirs."""
    if session.scalar(select(Variable).where(Variable.key == name)) is None:
        Variable.set(name, declared["value"], declared["description"], session=session)


def _connection(session: Session, name: str, declared: Mapping[str, Any]) -> None:
    """Make a connection what its setting says; one without a value is no connection."""
    found = session.scalar(select(Connection).where(Connection.conn_id == name))
    value = _setting(declared["setting"])
    if value is None:
        if found is not None:
            session.delete(found)
        return
    found = found or Connection(conn_id=name)
    found.conn_type, found.description = declared["conn_type"], declared["description"]
    found.set_password(value)
    session.add(found)


def _setting(name: str) -> str | None:
    settings = AirflowSettings.load()
    secret = getattr(settings, name.removeprefix("AIRFLOW_").lower())
    return secret.get_secret_value() if secret else None


if __name__ == "__main__":
    prepare(Path(sys.argv[1]))
