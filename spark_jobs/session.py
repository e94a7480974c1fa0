"""The Spark session: S3A, the Iceberg catalog, UTC, and a quick, quiet start."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from py4j.protocol import Py4JError
from pyspark import SparkConf, SparkContext
from pyspark.errors import PySparkRuntimeError
from pyspark.sql import SparkSession

from ingestion.errors import LakeError, SettingsError
from ingestion.settings import ROOT, LakeSettings, ProjectSettings, StoreSettings
from spark_jobs import jvm
from spark_jobs.schemas import CATALOG

NEEDED_JARS: Final = (
    *("iceberg-spark-runtime-", "hadoop-aws-", "s3-", "sqlite-jdbc-"),
    *("spark-sql-kafka-", "kafka-clients-"),
)
_EXIT_TIMEOUT_S: Final = 120
# Between the end of its connections and that of the process.
_DEATH_S: Final = 2
_STDERR: Final = "spark-stderr.log"
_LOCAL_SCHEMES: Final = ("file",)
_STANDALONE: Final = "spark://"
_CONNECT_S: Final = 3.0
_LINE: Final = 300


@dataclass(frozen=True)
class SessionPlan:
    """What a session needs to know. ``warehouse`` is where tables' files go (default: bucket)."""

    project: ProjectSettings
    store: StoreSettings
    lake: LakeSettings
    master: str | None = None
    warehouse: str | None = None
    debug: bool = False
    extra_java_options: tuple[str, ...] = ()

    def location(self) -> str:
        """Return the warehouse as a URI."""
        return self.warehouse or f"s3://{self.store.lake_bucket}/warehouse"

    def where(self) -> str:
        """Return the master."""
        return self.master or self.lake.master

    def is_standalone(self) -> bool:
        """Return whether the work is done on a standalone cluster."""
        return self.where().startswith(_STANDALONE)

    def uses_store(self) -> bool:
        """Return whether tables lie in the object store."""
        return urlsplit(self.location()).scheme not in _LOCAL_SCHEMES


def start(plan: SessionPlan) -> SparkSession:
    """Start the session.

    Raises:
        SettingsError: a jar or a credential is missing.
        LakeError: the JVM did not start, no master answers, or it does not take us in.
    """
    _require_jars(jvm.JARS)
    keys = plan.store.keys("lake") if plan.uses_store() else None
    if plan.is_standalone():
        _require_master(plan.where())
    log = plan.project.state("log", "spark.log")
    for folder in (log.parent, plan.project.state("spark", "tmp"), plan.project.state("lake")):
        folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    os.environ["PYSPARK_PYTHON"] = sys.executable
    stderr = log.with_name(_STDERR)
    known = stderr.stat().st_size if stderr.is_file() else 0
    try:
        with _stderr_to(stderr):
            spark = _launch(_config(plan, log), _cluster_secret(plan))
    except PySparkRuntimeError as error:
        found = _said(stderr, known) or error.getCondition()
        raise LakeError(f"Spark's JVM did not start ({found}); see {stderr}") from error
    except Py4JError as error:
        if not plan.is_standalone():
            raise
        raise LakeError(
            f"the Spark master at {plan.where()} does not take this session in; is its secret in "
            f"LAKE_CLUSTER_SECRET? See {log}"
        ) from error
    _pass_secrets(spark, plan, keys)
    return spark


def _launch(public: dict[str, str], secret: dict[str, str]) -> SparkSession:
    """Start the JVM with what may stand on its command line, then a session with the rest too."""
    SparkContext._ensure_initialized(conf=SparkConf().setAll(list(public.items())))
    builder = SparkSession.Builder()
    for name, value in (public | secret).items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


@contextmanager
def running(plan: SessionPlan) -> Iterator[SparkSession]:
    """Start a session, and end it and its JVM.

    Raises:
        LakeError: the JVM died meanwhile.
    """
    spark = start(plan)
    gateway = SparkContext._gateway
    assert gateway is not None  # noqa: S101 - the session has just been started through it
    try:
        yield spark
    except Exception as error:
        # Whatever asked it then tells of a connection, and so does a Java error asked for its text.
        if _has_died(gateway.proc):
            log = plan.project.state("log", "spark.log")
            raise LakeError(
                f"Spark's JVM died (exit code {gateway.proc.returncode}); see {log} and "
                f"{log.with_name(_STDERR)}"
            ) from error
        raise
    finally:
        if gateway.proc.poll() is None:
            spark.stop()
            gateway.shutdown()
        SparkContext._gateway = SparkContext._jvm = None
        # The JVM ends when its standard input does.
        gateway.proc.stdin.close()
        gateway.proc.wait(_EXIT_TIMEOUT_S)


def _has_died(process: "subprocess.Popen[bytes]") -> bool:
    try:
        process.wait(_DEATH_S)
    except subprocess.TimeoutExpired:
        return False
    return True


def activate(spark: SparkSession) -> None:
    """Make it the session of the calling thread: Iceberg asks that one for the catalog's settings.

    Each Python thread has a thread of the JVM's, and that begins with no session.
    """
    sessions = SparkSession._get_j_spark_session_class(spark.sparkContext._jvm)
    sessions.setActiveSession(spark._jsparkSession)


def jdbc(uri: str) -> dict[str, str]:
    """Return the catalog's JDBC settings for an SQLAlchemy URL, ``jdbc.password`` included.

    Raises:
        SettingsError: neither SQLite nor PostgreSQL.
    """
    parts = urlsplit(uri)
    dialect = parts.scheme.partition("+")[0]
    if dialect == "sqlite":
        path = ROOT / parts.path.removeprefix("/")
        # Two jobs share the file: the second waits for the lock instead of failing.
        return {"uri": f"jdbc:sqlite:{path}?busy_timeout=30000"}
    if dialect == "postgresql":
        port = f":{parts.port}" if parts.port else ""
        found = {"uri": f"jdbc:postgresql://{parts.hostname}{port}{parts.path}"}
        secrets = {"jdbc.user": parts.username, "jdbc.password": parts.password}
        return found | {name: unquote(value) for name, value in secrets.items() if value}
    raise SettingsError(f"LAKE_CATALOG_URI: expected sqlite or postgresql, found {dialect!r}")


def _require_jars(folder: Path) -> None:
    names = [path.name for path in folder.glob("*.jar")]
    missing = [need for need in NEEDED_JARS if not any(name.startswith(need) for name in names)]
    if missing:
        raise SettingsError(
            f"{folder}: expected jars {', '.join(f'{need}*.jar' for need in missing)}, found none; "
            "`make setup` resolves them"
        )


def _require_master(master: str) -> None:
    """Ask now: Spark itself would try for a minute."""
    for place in master.removeprefix(_STANDALONE).split(","):
        host, _, port = place.rpartition(":")
        try:
            with socket.create_connection((host, int(port)), _CONNECT_S):
                return
        except (OSError, ValueError):
            continue
    raise LakeError(f"no Spark master answers at {master}; `make spark-cluster` starts one here")


def _cluster_secret(plan: SessionPlan) -> dict[str, str]:
    if plan.is_standalone() and plan.lake.cluster_secret:
        return {"spark.authenticate": "true", "spark.authenticate.secret": plan.lake.secret()}
    return {}


def _cluster(plan: SessionPlan, log: Path) -> dict[str, str]:
    """Return what only executors of their own need."""
    if not plan.is_standalone():
        return {}
    # Spark puts the executor's number in. Its other output is in the worker's folder.
    options = jvm.executor_options(log.with_name("spark-executor-{{EXECUTOR_ID}}.log"), plan.debug)
    return {
        "spark.executor.memory": plan.lake.executor_memory,
        "spark.executor.extraJavaOptions": " ".join(options),
    }


def _config(plan: SessionPlan, log: Path) -> dict[str, str]:
    tmp = str(plan.project.state("spark", "tmp"))
    class_path = f"{jvm.JARS}/*"
    return {
        "spark.app.name": "tapehouse",
        "spark.master": plan.where(),
        "spark.driver.memory": plan.lake.driver_memory,
        "spark.driver.extraClassPath": class_path,
        "spark.executor.extraClassPath": class_path,
        "spark.driver.extraJavaOptions": " ".join(
            [
                *jvm.options(log, tmp, plan.debug),
                # Of two that contradict each other the JVM takes the later.
                *plan.lake.java_options.split(),
                *plan.extra_java_options,
            ]
        ),
        "spark.executorEnv.PYTHONPATH": str(ROOT),
        "spark.local.dir": tmp,
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.warehouse.dir": str(plan.project.state("spark", "warehouse")),
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "8",
        # Small enough that every core gets a part of what one run brings.
        "spark.sql.adaptive.advisoryPartitionSizeInBytes": "8m",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        # Bronze objects come as rows of some megabytes: a worker holds few of them, and every
        # core gets a part of what one run brings.
        "spark.sql.execution.arrow.maxBytesPerBatch": "8m",
        "spark.sql.files.maxPartitionBytes": "16m",
        "spark.sql.files.openCostInBytes": "512k",
        # What is cached is read two or three times within seconds.
        "spark.sql.inMemoryColumnarStorage.compressed": "false",
        "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
        **_cluster(plan, log),
        **_catalog(plan),
        **_s3a(plan.store, tmp),
    }


def _catalog(plan: SessionPlan) -> dict[str, str]:
    prefix = f"spark.sql.catalog.{CATALOG}"
    public = {k: v for k, v in jdbc(plan.lake.uri()).items() if k != "jdbc.password"}
    return {
        prefix: "org.apache.iceberg.spark.SparkCatalog",
        f"{prefix}.type": "jdbc",
        f"{prefix}.jdbc.schema-version": "V1",
        f"{prefix}.warehouse": plan.location(),
        # A cached table would hide what another job has committed.
        f"{prefix}.cache-enabled": "false",
        **{f"{prefix}.{name}": value for name, value in public.items()},
    }


def _s3a(store: StoreSettings, tmp: str) -> dict[str, str]:
    values = {
        "fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
        "fs.s3a.endpoint": store.url(),
        "fs.s3a.endpoint.region": store.region,
        "fs.s3a.path.style.access": "true",
        "fs.s3a.connection.ssl.enabled": str(store.url().startswith("https")).lower(),
        "fs.s3a.aws.credentials.provider": (
            "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider"
        ),
        # A dead endpoint: seconds to an error instead of three minutes.
        "fs.s3a.attempts.maximum": "2",
        "fs.s3a.retry.limit": "2",
        "fs.s3a.connection.establish.timeout": "3s",
        "fs.s3a.buffer.dir": tmp,
        "fs.s3a.audit.enabled": "false",
    }
    return {f"spark.hadoop.{name}": value for name, value in values.items()}


def _pass_secrets(spark: SparkSession, plan: SessionPlan, keys: tuple[str, str] | None) -> None:
    # After the start: what is known at the start stands on the JVM's command line.
    hadoop = spark.sparkContext._jsc.hadoopConfiguration()
    if keys:
        hadoop.set("fs.s3a.access.key", keys[0])
        hadoop.set("fs.s3a.secret.key", keys[1])
    password = jdbc(plan.lake.uri()).get("jdbc.password")
    if password:
        spark.conf.set(f"spark.sql.catalog.{CATALOG}.jdbc.password", password)


@contextmanager
def _stderr_to(path: Path) -> Iterator[None]:
    """Start children with standard error in a file: the JVM's own warnings are no one's news."""
    sys.stderr.flush()
    saved = os.dup(2)
    with path.open("ab") as file:
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def _said(path: Path, after: int) -> str:
    """Return the first line beyond so many bytes that is neither a warning nor of a trace."""
    lines = path.read_bytes()[after:].decode(errors="replace").splitlines()
    told = (line for line in lines if line.strip() and not line.startswith(("WARNING", "\tat ")))
    return next(told, "")[:_LINE]
