"""A session on a given master that counts to ten, with the secret of its settings, or with none.

Usage: stranger.py STATE MASTER. What fails is one line, as commands say it.
"""

import sys
from pathlib import Path

from ingestion.errors import TapehouseError
from ingestion.settings import LakeSettings, ProjectSettings, StoreSettings
from spark_jobs import session


def main(state: Path, master: str) -> None:
    lake = LakeSettings(
        catalog_uri=f"sqlite:///{state}/catalog.db",
        driver_memory="512m",
        executor_memory="512m",
        cluster_secret=LakeSettings.load().cluster_secret,
    )
    plan = session.SessionPlan(
        ProjectSettings(state_dir=state),
        StoreSettings(),
        lake,
        master=master,
        warehouse=f"file://{state}/warehouse",
    )
    try:
        with session.running(plan) as spark:
            sys.stdout.write(f"{spark.range(10).count()}\n")
    except TapehouseError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
