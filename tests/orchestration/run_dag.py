"""Run a DAG by ``dag.test()`` in a process of its own, and tell how it ended as JSON.

``python -m tests.orchestration.run_dag DAG '{"start": …}' REPORT``. Airflow's settings are those of
the environment.
"""

import json
import sys
from pathlib import Path

from airflow.dag_processing.dagbag import DagBag

from ingestion.settings import ROOT


def main(dag_id: str, conf: str, report: str) -> None:
    bag = DagBag(str(ROOT / "dags" / f"{dag_id}.py"))
    assert not bag.import_errors, bag.import_errors
    dag = bag.dags[dag_id]
    # Of a DAG that was never stored, `dag.test()` of 3.3.2 cannot read the deadline.
    dag.deadline = None
    run = dag.test(run_conf=json.loads(conf))
    found = run.get_task_instances()
    tasks = {ti.task_id: {"state": ti.state, "tries": ti.try_number} for ti in found}
    Path(report).write_text(json.dumps({"state": str(run.state), "tasks": tasks}, default=str))


if __name__ == "__main__":
    main(*sys.argv[1:])
