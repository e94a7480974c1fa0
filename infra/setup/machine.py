"""What must be installed on the machine, and one line of advice for what is not."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from infra.setup.console import SetupError

JAVA_AT_LEAST = 17
PYTHONS = ((3, 11), (3, 12))


def check_python() -> None:
    """Raise SetupError where this interpreter cannot hold the environment."""
    if sys.version_info[:2] not in PYTHONS:
        found = ".".join(map(str, sys.version_info[:2]))
        raise SetupError(
            f"Python 3.11 or 3.12 expected, found {found}: install one and run "
            "`make PYTHON=python3.11 setup`"
        )


def check_java() -> None:
    """Raise SetupError where there is no Java that Kafka and Spark run on."""
    advice = f"install Java {JAVA_AT_LEAST} or later (Debian: apt install openjdk-17-jre-headless)"
    java = find_java()
    if java is None:
        raise SetupError(f"Java is missing: {advice}")
    found = java_version(java)
    if found < JAVA_AT_LEAST:
        raise SetupError(f"Java {found} is too old: {advice}")


def find_java() -> str | None:
    """Return the Java launcher of JAVA_HOME, else of the path."""
    home = os.environ.get("JAVA_HOME")
    own = shutil.which("java", path=str(Path(home) / "bin")) if home else None
    return own or shutil.which("java")


def java_version(java: str) -> int:
    """Return the major version that a Java launcher reports, 0 where it reports none."""
    done = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    found = re.search(r'version "(?:1\.)?(\d+)', done.stderr + done.stdout)
    return int(found[1]) if found and done.returncode == 0 else 0


def check_maven() -> None:
    """Raise SetupError where Maven is missing."""
    if shutil.which("mvn") is None:
        raise SetupError("Maven is missing: install Maven 3.6 or later (Debian: apt install maven)")


def has_go() -> bool:
    """Return whether Go is installed."""
    return shutil.which("go") is not None
