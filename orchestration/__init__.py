"""What the DAGs are wired from: operators, timetables, triggers, the dbt task groups, alerts."""
