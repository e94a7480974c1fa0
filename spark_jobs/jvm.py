"""Java options of the JVMs, and the class-data archive that halves its start."""

import hashlib
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

import pyspark

from ingestion.settings import ROOT

JARS: Final = ROOT / ".tools" / "spark-jars"
_LOG_CONFIG: Final = Path(__file__).with_name("log4j2.properties")

# Jobs of seconds: the optimising compiler costs more than it saves (66 s of CPU with it, 36 s
# without, for 62,000 records through all three jobs), and so do a parallel collector's threads. It
# still did for 600,000 records through compact before rows travelled as pages (28 s of the JVM's
# CPU without, 36 s with it, 33 s where it took only what runs ten times as often).
# One compiler alone is given a fifth of the usual memory for what it compiles: five jobs in one
# session fill it, and then the JVM dies of "Out of space in CodeCache".
_QUICK: Final = (
    *("-XX:TieredStopAtLevel=1", "-XX:ReservedCodeCacheSize=240m"),
    "-XX:+UseSerialGC",
)


def options(log: Path, tmp: str, debug: bool) -> list[str]:
    """Return the driver's Java options."""
    shared = archive()
    return [
        f"-Djava.io.tmpdir={tmp}",
        *executor_options(log, debug),
        *([f"-XX:SharedArchiveFile={shared}", "-Xlog:disable"] if shared.is_file() else []),
    ]


def executor_options(log: Path, debug: bool) -> list[str]:
    """Return the Java options of every JVM of a job."""
    return [
        f"-Dlog4j2.configurationFile={_LOG_CONFIG.as_uri()}",
        f"-Dtapehouse.log.file={log}",
        f"-Dtapehouse.log.level={'info' if debug else 'warn'}",
        *_QUICK,
    ]


def archive() -> Path:
    """Return where this JDK's archive for these jars lies: in the checkout, as the jars' paths do.

    The JVM takes an archive only for the very class path that it was made with.
    """
    return ROOT / ".tools" / f"spark-{_fingerprint()}.jsa"


@cache
def _fingerprint() -> str:
    # The JVM refuses an archive of other jars (path, size, time) or of another build of itself.
    java = Path(os.environ["JAVA_HOME"], "bin", "java") if "JAVA_HOME" in os.environ else "java"
    digest = hashlib.sha256(_java_version(str(java)))
    for folder in (JARS, Path(pyspark.__file__).with_name("jars")):
        for jar in sorted(folder.glob("*.jar")):
            state = jar.stat()
            digest.update(f"{jar}:{state.st_size}:{state.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]


def _java_version(java: str) -> bytes:
    try:
        return subprocess.run([java, "-version"], capture_output=True, check=False).stderr
    except FileNotFoundError:
        return b"no java"
