"""The auditor's own settings: the project's variable names, read independently of its code."""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from dotenv import dotenv_values

from audit import names
from audit.errors import SettingsError

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Settings:
    """Values of the environment over those of the settings file."""

    values: Mapping[str, str] = field(repr=False)  # holds every secret
    file: Path

    @classmethod
    def load(cls) -> Self:
        """Read ``TAPEHOUSE_ENV_FILE`` (``.env`` in the checkout by default) and the environment.

        What is wrong with them is told by `check`: where the verdict lies can be known without.
        """
        file = Path(os.environ.get("TAPEHOUSE_ENV_FILE") or ROOT / ".env")
        logging.getLogger("dotenv.main").setLevel(logging.ERROR)  # `check` tells it with the file
        stored = dotenv_values(file) if file.is_file() else {}
        known = {name: value for name, value in stored.items() if value is not None}
        return cls({**known, **os.environ}, file)

    def check(self) -> list[str]:
        """Return warnings about names in the environment that may be meant for us.

        Raises:
            SettingsError: a name is unknown, or a line of the file is not an assignment.
        """
        return names.check(self.file, os.environ)

    def get(self, name: str, default: str) -> str:
        """Return a value, or the default where it is absent or empty."""
        return self.values.get(name) or default

    def require(self, name: str) -> str:
        """Return a value that has no default.

        Raises:
            SettingsError: it is absent or empty.
        """
        value = self.values.get(name)
        if not value:
            raise SettingsError(
                f"{name} is not set: expected it in the environment or in {self.file}"
            )
        return value

    def number(self, name: str, default: float) -> float:
        """Return a numeric value.

        Raises:
            SettingsError: it is not a number.
        """
        text = self.get(name, str(default))
        try:
            return float(text)
        except ValueError:
            raise SettingsError(f"{name}: expected a number, found {text!r}") from None

    def state(self, *parts: str) -> Path:
        """Return a path below the project's state folder, absolute."""
        return ROOT.joinpath(self.get("TAPEHOUSE_STATE_DIR", "var"), *parts)

    def kafka(self) -> dict[str, str]:
        """Return librdkafka's connection settings for the auditor's user."""
        servers = self.get(
            "KAFKA_BOOTSTRAP_SERVERS", f"127.0.0.1:{self.get('KAFKA_PORT', '19092')}"
        )
        protocol = self.get("KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT")
        config = {
            "bootstrap.servers": servers,
            "security.protocol": protocol,
            "client.id": "tapehouse-auditor",
        }
        if protocol == "PLAINTEXT":
            return config
        if authority := self.get("KAFKA_SSL_CA_LOCATION", ""):
            config["ssl.ca.location"] = authority
        return config | {
            "sasl.mechanism": self.get("KAFKA_SASL_MECHANISM", "SCRAM-SHA-512"),
            "sasl.username": self.get("KAFKA_AUDITOR_USERNAME", "auditor"),
            "sasl.password": self.require("KAFKA_AUDITOR_PASSWORD"),
        }

    def store_url(self) -> str:
        """Return the S3 endpoint; the local store where none is configured."""
        return self.get("STORE_ENDPOINT", f"http://127.0.0.1:{self.get('STORE_PORT', '19000')}")

    def store_keys(self) -> tuple[str, str]:
        """Return the auditor's (access key, secret key)."""
        return self.require("STORE_AUDITOR_ACCESS_KEY"), self.require("STORE_AUDITOR_SECRET_KEY")

    def store_region(self) -> str:
        """Return the store's region."""
        return self.get("STORE_REGION", "us-east-1")

    def bronze_bucket(self) -> str:
        """Return the landing bucket's name."""
        return self.get("STORE_BRONZE_BUCKET", "bronze")

    def catalog_uri(self) -> str:
        """Return the Iceberg SQL catalog as an SQLAlchemy URL."""
        return self.get("LAKE_CATALOG_URI", f"sqlite:///{self.state('lake', 'catalog.db')}")

    def is_embedded(self) -> bool:
        """Return whether the warehouse is a file here, and no account elsewhere."""
        return self.get("WAREHOUSE_ENGINE", "duckdb") != "snowflake"

    def warehouse(self) -> Path:
        """Return the warehouse file, absolute."""
        default = str(self.state("warehouse", "stocks_mds.duckdb"))
        return ROOT / self.get("WAREHOUSE_PATH", default)

    def published(self) -> Path:
        """Return the folder of published gold files."""
        return ROOT / self.get("WAREHOUSE_GOLD_DIR", str(self.state("gold")))
