"""The session's settings, and what a person sees when something is missing."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pyspark import SparkContext
from pyspark.sql import SparkSession

from ingestion.errors import LakeError, SettingsError, StoreError, StoreUnavailableError
from ingestion.settings import ROOT, LakeSettings, ProjectSettings, StoreSettings
from spark_jobs import failures, jvm, session
from spark_jobs.iceberg import java


def test_a_sqlite_url_becomes_a_jdbc_url() -> None:
    found = session.jdbc("sqlite:////var/lake/catalog.db")
    assert found == {"uri": "jdbc:sqlite:/var/lake/catalog.db?busy_timeout=30000"}


def test_a_postgresql_url_keeps_its_credentials_apart() -> None:
    found = session.jdbc("postgresql+psycopg2://lake:p%40ss@db:5432/catalog")
    assert found == {
        "uri": "jdbc:postgresql://db:5432/catalog",
        "jdbc.user": "lake",
        "jdbc.password": "p@ss",
    }


def test_another_catalog_is_refused() -> None:
    with pytest.raises(SettingsError, match="LAKE_CATALOG_URI"):
        session.jdbc("mysql://x/y")


def test_why_the_jvm_did_not_start_is_said(tmp_path: Path) -> None:
    """Each in a process of its own: a session is running in this one."""
    code = (
        "import sys; from pathlib import Path; from ingestion.settings import *; "
        "from spark_jobs import session; from ingestion.errors import LakeError\n"
        "state = Path(sys.argv[1])\n"
        "for master, memory in (('nowhere', '1g'), ('local', '10x')):\n"
        "    plan = session.SessionPlan(ProjectSettings(state_dir=state), StoreSettings(),\n"
        "        LakeSettings(catalog_uri='sqlite:////x', driver_memory=memory),\n"
        "        master=master, warehouse=f'file://{state}')\n"
        "    try: session.start(plan)\n"
        "    except LakeError as error: print(error)\n"
    )
    words = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    master, memory = done.stdout.splitlines()
    assert "Master must either be yarn or start with spark, k8s, or local" in master
    assert "Invalid maximum heap size: -Xmx10x" in memory


def test_a_missing_jar_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jvm, "JARS", tmp_path)
    plan = session.SessionPlan(ProjectSettings(state_dir=tmp_path), StoreSettings(), LakeSettings())
    with pytest.raises(SettingsError, match="iceberg-spark-runtime-") as caught:
        session.start(plan)
    assert "make setup" in str(caught.value)


def test_missing_keys_are_named(tmp_path: Path) -> None:
    plan = session.SessionPlan(ProjectSettings(state_dir=tmp_path), StoreSettings(), LakeSettings())
    with pytest.raises(SettingsError, match="STORE_LAKE_ACCESS_KEY"):
        session.start(plan)


def test_secrets_reach_the_session_but_no_command_line(
    root_session: SparkSession, tmp_path: Path
) -> None:
    catalog = "postgresql://lake:catalog-secret@127.0.0.1/x"
    plan = session.SessionPlan(
        ProjectSettings(state_dir=tmp_path), StoreSettings(), LakeSettings(catalog_uri=catalog)
    )
    spark = root_session.newSession()
    session._pass_secrets(spark, plan, ("store-key", "store-secret"))

    hadoop = spark.sparkContext._jsc.hadoopConfiguration()
    assert hadoop.get("fs.s3a.secret.key") == "store-secret"
    assert spark.conf.get("spark.sql.catalog.lake.jdbc.password") == "catalog-secret"
    started_with = session._config(plan, tmp_path / "log")
    assert not [v for v in started_with.values() if "catalog-secret" in v or "store-secret" in v]
    command = Path(f"/proc/{SparkContext._gateway.proc.pid}/cmdline").read_bytes()
    assert b"secret" not in command


def test_java_options_of_the_settings_come_after_ours(tmp_path: Path) -> None:
    lake = LakeSettings(java_options="-XX:TieredStopAtLevel=4 -Xss2m")
    plan = session.SessionPlan(ProjectSettings(state_dir=tmp_path), StoreSettings(), lake)
    options = session._config(plan, tmp_path / "log")["spark.driver.extraJavaOptions"].split()
    assert options.index("-XX:TieredStopAtLevel=4") > options.index("-XX:TieredStopAtLevel=1")
    assert options[-1] == "-Xss2m"


def test_there_is_room_for_what_is_compiled(root_session: SparkSession) -> None:
    """With the 48 MB that one compiler alone gets by itself the JVM died in a run of five jobs."""
    factory = java(root_session).java.lang.management.ManagementFactory
    pools = {pool.getName(): pool.getUsage() for pool in factory.getMemoryPoolMXBeans()}
    assert sum(usage.getMax() for name, usage in pools.items() if "Code" in name) > 200e6


DIES = """
import sys
from pathlib import Path
from ingestion.errors import LakeError
from ingestion.settings import LakeSettings, ProjectSettings, StoreSettings
from pyspark import SparkContext
from spark_jobs import failures, session

state = Path(sys.argv[1])
plan = session.SessionPlan(
    *(ProjectSettings(state_dir=state), StoreSettings()),
    LakeSettings(catalog_uri=f"sqlite:///{state}/catalog.db"),
    master="local[1]", warehouse=f"file://{state}/warehouse",
)
try:
    with session.running(plan) as spark, failures.translated():
        SparkContext._gateway.proc.kill()
        spark.range(3).count()
except LakeError as error:
    print(error)
"""


def test_a_jvm_that_dies_is_one_line_and_names_its_logs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DIES, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    log = tmp_path / "log"
    said = f"Spark's JVM died (exit code -9); see {log}/spark.log and {log}/spark-stderr.log\n"
    assert done.stdout == said, done.stderr


def run_command(tmp_path: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess:
    env_file = tmp_path / "env"
    lines = {"TAPEHOUSE_STATE_DIR": str(tmp_path), **settings}
    env_file.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
    known = {k: v for k, v in os.environ.items() if not k.startswith(("STORE_", "LAKE_"))}
    return subprocess.run(
        [sys.executable, "-m", "spark_jobs", *arguments],
        cwd=ROOT,
        env=known | {"TAPEHOUSE_ENV_FILE": str(env_file)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_dead_store_is_one_line_and_exit_1(tmp_path: Path) -> None:
    began = time.monotonic()
    keys = {"STORE_LAKE_ACCESS_KEY": "a", "STORE_LAKE_SECRET_KEY": "bbbbbbbb"}
    found = run_command(
        tmp_path, "run", "compact", "daily-metrics", STORE_ENDPOINT="http://127.0.0.1:1", **keys
    )
    assert found.returncode == 1
    assert found.stderr.startswith("error: bucket bronze: ")
    assert found.stderr.count("\n") == 1
    assert time.monotonic() - began < 60


def test_missing_credentials_name_the_variable(tmp_path: Path) -> None:
    found = run_command(tmp_path, "compact", "--report", str(tmp_path / "report.json"))
    assert found.returncode == 1
    assert "STORE_LAKE_ACCESS_KEY is not set" in found.stderr
    assert '"complete": false' in (tmp_path / "report.json").read_text()
    told = (tmp_path / "metrics" / "compact.prom").read_text()
    assert 'tapehouse_job_succeeded{job_name="compact"} 0.0' in told


def test_the_traceback_is_behind_debug(tmp_path: Path) -> None:
    assert "Traceback" in run_command(tmp_path, "compact", "--debug").stderr


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("x\nCaused by: java.net.ConnectException: refused", StoreUnavailableError),
        ("java.nio.file.AccessDeniedException: s3a://lake/x", StoreError),
        ("[NO_SUCH_TABLE] lake.silver.bars\n\tat somewhere", LakeError),
    ],
)
def test_a_java_failure_is_one_line(text: str, kind: type[Exception]) -> None:
    found = failures._ours(text)
    assert type(found) is kind
    assert "\n" not in str(found)


def test_a_python_worker_s_failure_is_its_last_line() -> None:
    text = (
        "\n  An exception was thrown from the Python worker. Please see the stack trace below.\n"
        'Traceback (most recent call last):\n  File "a.py", line 1, in f\n    g()\n    ^^^\n'
        "KeyError: 1\n\nDuring handling of the above exception, another exception occurred:\n\n"
        'Traceback (most recent call last):\n  File "b.py", line 2, in h\n'
        "ValueError: s3a://x: odd\n\n\tat org.apache.spark.X(Y.scala:1)\nCaused by: java.Z\n"
    )
    assert str(failures._ours(text)) == "ValueError: s3a://x: odd"
