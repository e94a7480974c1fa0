"""The archive of Spark's classes, with which its sessions start in about half the time."""

import hashlib
from pathlib import Path

from infra.setup.console import Console


class SparkArchive:
    """Made by the checkout's own Spark and tied to its class path, so kept in its ``.tools``."""

    label = "archive of Spark's classes (half a minute)"

    def __init__(self, root: Path, console: Console) -> None:
        self._root = root
        self._console = console
        self._stamp = root / ".tools" / ".spark-archive.stamp"

    def is_ready(self) -> bool:
        """Return whether the archive was made from these packages and jars."""
        made_from = self._stamp.read_text() if self._stamp.is_file() else None
        has_archive = any(self._root.glob(".tools/spark-*.jsa"))
        return has_archive and made_from == self._fingerprint()

    def make(self) -> None:
        """Let Spark make it."""
        python = self._root / ".venv" / "bin" / "python"
        log = self._root / "var" / "log" / "setup-spark-archive.log"
        self._console.run([python, "-m", "spark_jobs", "warm-up"], log, cwd=self._root)
        self._stamp.write_text(self._fingerprint())

    def _fingerprint(self) -> str:
        parts = [
            self._root / ".venv" / "tapehouse.stamp",
            self._root / ".tools" / ".spark-jars.stamp",
        ]
        digest = hashlib.sha256()
        for part in parts:
            digest.update(part.read_bytes())
        return digest.hexdigest()
