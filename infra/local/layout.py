"""Which settings a stack runs with, and where its files lie."""

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, get_args

from infra.local.environment import MARKER
from ingestion.errors import SettingsError, StackError
from ingestion.settings import (
    ROOT,
    AirflowSettings,
    KafkaRole,
    KafkaSettings,
    LakeSettings,
    ProjectSettings,
    StoreRole,
    StoreSettings,
    SupersetSettings,
    env_file,
)

DECLARATIONS = ROOT / "infra"
TOOLS = ROOT / ".tools"

# A Unix socket's path holds 108 bytes on Linux, 104 on macOS; supervisor adds a suffix to bind.
SOCKET_PATH_MAX = 88


@dataclass(frozen=True)
class Layout:
    """The settings of one stack and the paths below its state folder."""

    project: ProjectSettings
    kafka: KafkaSettings
    store: StoreSettings
    lake: LakeSettings
    env_file: Path
    tools: Path = TOOLS
    airflow: AirflowSettings = field(default_factory=AirflowSettings)
    superset: SupersetSettings = field(default_factory=SupersetSettings)

    @classmethod
    def load(cls) -> Self:
        """Read the settings in force and refuse what must never run.

        Raises:
            SettingsError: a value is missing or malformed, or a default password is used.
        """
        layout = cls(
            project=ProjectSettings.load(),
            kafka=KafkaSettings.load(),
            store=StoreSettings.load(),
            lake=LakeSettings.load(),
            env_file=env_file(),
            airflow=AirflowSettings.load(),
            superset=SupersetSettings.load(),
        )
        layout.refuse_default_password()
        return layout

    def refuse_default_password(self) -> None:
        """Raise SettingsError where the store's root uses its vendor's published password."""
        secret = self.store.root_secret_key
        root = (self.store.root_access_key, secret.get_secret_value() if secret else None)
        if self.store.kind != "s3" and "minioadmin" in root:
            raise SettingsError(
                "STORE_ROOT_ACCESS_KEY or STORE_ROOT_SECRET_KEY is the vendor's published default "
                f"in {self.env_file}: delete the line and run `make setup` to generate one"
            )

    def require_credentials(self) -> None:
        """Raise SettingsError that names the first credential that a local service lacks."""
        for user in get_args(KafkaRole):
            self.kafka.client(user)
        if self.store.kind != "s3":
            for identity in get_args(StoreRole):
                self.store.keys(identity)

    @property
    def state(self) -> Path:
        """The state folder, absolute and without symlinks: processes are found by it."""
        return self.project.state().resolve()

    @property
    def run(self) -> Path:
        """Generated configuration, pid file and socket; holds secrets, mode 0700."""
        return self.state / "run"

    @property
    def log(self) -> Path:
        """Logs of every process."""
        return self.state / "log"

    @property
    def socket(self) -> Path:
        """Where supervisor listens; beside the other temporary files where the path is too long."""
        path = self.run / "supervisor.sock"
        if len(os.fsencode(path)) <= SOCKET_PATH_MAX:
            return path
        digest = hashlib.sha256(os.fsencode(self.state)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"tapehouse-{os.getuid()}-{digest}" / "s.sock"

    def make_folders(self) -> None:
        """Create the folders that the processes expect; those with secrets for us alone."""
        data = (self.state / "kafka", self.state / "store" / self.store.kind)
        for folder in (self.run, self.log, *data):
            folder.mkdir(parents=True, exist_ok=True)
        self.socket.parent.mkdir(exist_ok=True)
        for folder in (self.run, self.socket.parent):
            folder.chmod(0o700)

    def child_environment(self) -> dict[str, str]:
        """Return our environment plus what marks a process as belonging to this stack."""
        return os.environ | {MARKER: str(self.state), "TAPEHOUSE_ENV_FILE": str(self.env_file)}

    def tool(self, name: str) -> Path:
        """Return a path in ``.tools``.

        Raises:
            StackError: set-up has not put it there.
        """
        path = self.tools / name
        if not path.exists():
            raise StackError(f"{path} is missing: run `make setup`")
        return path


def java() -> str:
    """Return the Java launcher.

    Raises:
        StackError: there is none.
    """
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=str(Path(home) / "bin")) if home else None
    found = found or shutil.which("java")
    if found is None:
        raise StackError("java is not installed: install a JRE of version 17 or later")
    return found
