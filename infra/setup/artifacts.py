"""The jars and the store's binary: made once into the cache, linked into ``.tools``."""

import hashlib
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from infra.setup import cache
from infra.setup.console import Console, SetupError

# The last commit of the open-source server; the module proxy knows it by this version only.
MINIO = "github.com/minio/minio"
MINIO_VERSION = "v0.0.0-20260212201848-7aac2a2c5b7c"


@dataclass(frozen=True)
class Artifact:
    """One cache entry and the link to it."""

    label: str
    link: Path
    entry: Path
    target: Path
    build: Callable[[Path], None]

    def is_ready(self) -> bool:
        """Return whether nothing has to be done."""
        return cache.is_linked(self.link, self.target, self.entry)

    def is_cached(self) -> bool:
        """Return whether the cache has it whole, so that nothing must be built."""
        return cache.is_intact(self.entry)

    def make(self) -> None:
        """Build or reuse the entry, then link to it."""
        cache.ensure(self.entry, self.build)
        cache.link(self.link, self.target, self.entry)


def jars(profile: str, root: Path, console: Console) -> Artifact:
    """Return the jars of one profile of ``infra/jars/pom.xml``; another pom is another entry."""
    pom = root / "infra" / "jars" / "pom.xml"
    entry = cache.root() / "jars" / f"{profile}-{hashlib.sha256(pom.read_bytes()).hexdigest()[:16]}"

    def build(folder: Path) -> None:
        command = ["mvn", "-B", "-f", str(pom), "-P", profile, "package", f"-Djars.dir={folder}"]
        console.run(command, _log(root, f"{profile}-jars"))
        if not any(folder.glob("*.jar")):
            raise SetupError(f"mvn succeeded but put no jar into {folder}")

    link = root / ".tools" / f"{profile}-jars"
    return Artifact(f"{profile} jars (Maven)", link, entry, entry, build)


def minio(root: Path, console: Console) -> Artifact:
    """Return the MinIO server of the pinned version, built by Go."""
    name = f"minio-{MINIO_VERSION}-{sys.platform}-{platform.machine()}"
    entry = cache.root() / "store" / name

    def build(folder: Path) -> None:
        command = ["go", "install", "-trimpath", "-ldflags", "-s -w", f"{MINIO}@{MINIO_VERSION}"]
        environment = {"GOBIN": str(folder), "CGO_ENABLED": "0"}
        console.run(command, _log(root, "minio"), environment)
        if not os.access(folder / "minio", os.X_OK):
            raise SetupError(f"go succeeded but put no minio into {folder}")

    label = "MinIO server (Go builds it, 3 to 5 minutes the first time)"
    return Artifact(label, root / ".tools" / "minio", entry, entry / "minio", build)


def _log(root: Path, name: str) -> Path:
    return root / "var" / "log" / f"setup-{name}.log"
