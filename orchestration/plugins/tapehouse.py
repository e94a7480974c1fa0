"""What Airflow has to know by name to read our DAGs back from its database."""

from airflow.plugins_manager import AirflowPlugin

from orchestration.deadlines import Queued
from orchestration.timetables import IntradayTimetable, SessionTimetable


class TapehousePlugin(AirflowPlugin):
    """The timetables of the exchange's sessions, and what deadlines are counted from."""

    name = "tapehouse"
    timetables = [IntradayTimetable, SessionTimetable]  # noqa: RUF012 - as Airflow declares it
    deadline_references = [Queued]  # noqa: RUF012 - as Airflow declares it
