"""Settings of every component; the environment is read here and nowhere else.

A value comes from the process environment or from the file that ``TAPEHOUSE_ENV_FILE`` names
(``.env`` in the checkout by default, written by ``make setup``). A name that no component knows
is told: see ``ingestion.variables``.
"""

import hashlib
import os
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, Self

import structlog
from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from ingestion import logs, variables
from ingestion.errors import SettingsError

ROOT = Path(__file__).resolve().parents[1]

# Records out of order come within seconds, most of the late ones within minutes.
LATENESS_S: Final = 900.0

KafkaRole = Literal["admin", "producer", "lander", "stream", "auditor", "redriver"]
StoreRole = Literal["root", "lander", "lake", "loader", "auditor"]
WarehouseEngine = Literal["duckdb", "snowflake"]
_NAME_OR_NOTHING: Final = r"^([A-Za-z_][A-Za-z0-9_$]*)?$"
SnowflakeUser = Literal["admin", "loader", "transformer", "reader"]


def env_file() -> Path:
    """Return the settings file in force; it need not exist."""
    return Path(os.environ.get("TAPEHOUSE_ENV_FILE") or ROOT / ".env")


class Section(BaseSettings):
    """A component's settings: frozen, from the environment, loaded with ``load()``."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    @classmethod
    def load(cls) -> Self:
        """Read and check the settings.

        Raises:
            SettingsError: a value is missing or malformed, a name is unknown, or a line of the
                file is not an assignment.
        """
        path = env_file()
        _check_names(path)
        try:
            return cls(_env_file=path)
        except ValidationError as error:
            first = error.errors()[0]
            name = cls._variable(str(first["loc"][0]) if first["loc"] else "?")
            raise SettingsError(f"{name}: {first['msg']} (settings file: {path})") from error

    @classmethod
    def variables(cls) -> set[str]:
        """Return the names of the environment variables that this section reads."""
        return {cls._variable(field) for field in cls.model_fields}

    @classmethod
    def _variable(cls, field: str) -> str:
        return f"{cls.model_config.get('env_prefix', '')}{field}".upper()

    def _required(self, field: str) -> str:
        value = getattr(self, field)
        if value is None:
            raise SettingsError(
                f"{self._variable(field)} is not set: expected it in the environment or in "
                f"{env_file()} (`make setup` generates it for the local stack)"
            )
        return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


class ProjectSettings(Section):
    """Where the project keeps its runtime state, and the market that it follows."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_prefix="tapehouse_")

    state_dir: Path = Path("var")
    calendar: str = "XNYS"

    def state(self, *parts: str) -> Path:
        """Return a path below the state folder, absolute."""
        return ROOT.joinpath(self.state_dir, *parts)


class KafkaSettings(Section):
    """How to reach Kafka, as which user."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_prefix="kafka_")

    port: int = 19092
    controller_port: int = 19093
    bootstrap_servers: str | None = None
    security_protocol: Literal["PLAINTEXT", "SASL_PLAINTEXT", "SASL_SSL"] = "SASL_PLAINTEXT"
    sasl_mechanism: str = "SCRAM-SHA-512"
    ssl_ca_location: str | None = None
    landers_group: str = "landers"
    admin_username: str = "admin"
    admin_password: SecretStr | None = None
    producer_username: str = "producer"
    producer_password: SecretStr | None = None
    lander_username: str = "lander"
    lander_password: SecretStr | None = None
    stream_username: str = "stream"
    stream_password: SecretStr | None = None
    auditor_username: str = "auditor"
    auditor_password: SecretStr | None = None
    redriver_username: str = "redriver"
    redriver_password: SecretStr | None = None

    def servers(self) -> str:
        """Return the bootstrap servers; the local broker where none are configured."""
        return self.bootstrap_servers or f"127.0.0.1:{self.port}"

    def client(self, role: KafkaRole) -> dict[str, str]:
        """Return librdkafka's connection settings for a role.

        Raises:
            SettingsError: the role's password is not set.
        """
        config = {
            "bootstrap.servers": self.servers(),
            "security.protocol": self.security_protocol,
            "client.id": f"tapehouse-{role}",
        }
        if self.security_protocol == "PLAINTEXT":
            return config
        if self.ssl_ca_location:
            config["ssl.ca.location"] = self.ssl_ca_location
        return config | {
            "sasl.mechanism": self.sasl_mechanism,
            "sasl.username": self._required(f"{role}_username"),
            "sasl.password": self._required(f"{role}_password"),
        }


class ProduceSettings(Section):
    """Where a producer keeps what Kafka has not confirmed; whom it asks first; where it tells."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_prefix="produce_")

    spool_dir: Path | None = None
    spool_max_bytes: int = Field(default=2**30, gt=0)
    bars_sources: str = "yahoo,alphavantage"
    quotes_sources: str = "finnhub,alphavantage"
    metrics_port: int | None = Field(default=None, ge=1, le=65_535)
    metrics_address: str = "127.0.0.1"

    def spool(self) -> Path | None:
        """Return the folder of the spool, absolute; None where none is configured."""
        return ROOT / self.spool_dir if self.spool_dir else None


class LimitsSettings(Section):
    """How many requests each provider gets, how long one waits for its turn and is tried again.

    A provider's limits are written ``30/second,60/minute``; without, the declared ones hold.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_prefix="limits_")

    yahoo: str | None = None
    finnhub: str | None = None
    alphavantage: str | None = None
    max_wait_s: float = Field(default=65.0, ge=0)
    attempts: int = Field(default=4, ge=1)
    retry_s: float = Field(default=120.0, gt=0)
    breaker_failures: int = Field(default=5, ge=1)
    breaker_open_s: float = Field(default=60.0, gt=0)


class StoreSettings(Section):
    """How to reach the object store, as which identity."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_prefix="store_")

    kind: Literal["minio", "s3proxy", "s3"] = "minio"
    port: int = 19000
    endpoint: str | None = None
    region: str = "us-east-1"
    bronze_bucket: str = "bronze"
    lake_bucket: str = "lake"
    doctor_bucket: str = "doctor"
    root_access_key: str | None = None
    root_secret_key: SecretStr | None = None
    lander_access_key: str | None = None
    lander_secret_key: SecretStr | None = None
    lake_access_key: str | None = None
    lake_secret_key: SecretStr | None = None
    loader_access_key: str | None = None
    loader_secret_key: SecretStr | None = None
    auditor_access_key: str | None = None
    auditor_secret_key: SecretStr | None = None

    def url(self) -> str:
        """Return the S3 endpoint; the local store where none is configured."""
        return self.endpoint or f"http://127.0.0.1:{self.port}"

    def doctor_buckets(self) -> tuple[str, str]:
        """Return the buckets that the store doctor probes in: the plain and the versioned one."""
        return self.doctor_bucket, f"{self.doctor_bucket}-versioned"

    def keys(self, role: StoreRole) -> tuple[str, str]:
        """Return a role's (access key, secret key).

        Raises:
            SettingsError: one of the two is not set.
        """
        return self._required(f"{role}_access_key"), self._required(f"{role}_secret_key")


class ProviderSettings(Section):
    """A market data provider: where it is, and our key there."""

    base_url: str = Field(pattern=r"^https?://\S+$")
    api_key: SecretStr | None = None

    @property
    def has_key(self) -> bool:
        """Whether a key is set."""
        return self.api_key is not None and bool(self.api_key.get_secret_value())

    def key(self) -> str:
        """Return the key.

        Raises:
            SettingsError: it is not set, or is none that a request can carry.
        """
        name = self._variable("api_key")
        value = self.api_key.get_secret_value() if self.api_key else ""
        if not value:
            raise SettingsError(
                f"{name} is not set: expected a key in the environment or in {env_file()}"
            )
        if not (value.isascii() and value.isprintable()) or " " in value:
            raise SettingsError(f"{name}: expected printable ASCII without spaces")
        return value


class FinnhubSettings(ProviderSettings):
    """Finnhub: its REST interface and its stream."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_prefix="finnhub_")

    base_url: str = Field(default="https://finnhub.io/api/v1", pattern=r"^https?://\S+$")
    stream_url: str = Field(default="wss://ws.finnhub.io", pattern=r"^wss?://\S+$")
    mute_after_s: float = Field(default=60.0, gt=0)


class AlphaVantageSettings(ProviderSettings):
    """Alpha Vantage. ``premium``: the key's plan has adjusted, full and intraday series."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_prefix="alphavantage_")

    base_url: str = Field(default="https://www.alphavantage.co/query", pattern=r"^https?://\S+$")
    premium: bool = False


# For a machine that has little else to do: more is fetched ahead and held, objects are larger.
_FAST_LANDER: Final[dict[str, int | bool]] = {
    "max_bytes": 32 * 2**20,
    "budget_bytes": 192 * 2**20,
    "queue_bytes": 64 * 2**20,
    "trim_memory": False,
}


class LandSettings(Section):
    """When a lander closes an object, how much it may hold, how many there are, where they tell.

    The profile sets what is not set by itself.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_prefix="land_")

    profile: Literal["default", "fast"] = "default"
    max_age_s: float = Field(default=2.0, gt=0)
    max_bytes: int = Field(default=16 * 2**20, gt=0)
    budget_bytes: int = Field(default=64 * 2**20, gt=0)
    queue_bytes: int = Field(default=16 * 2**20, ge=2**20)
    trim_memory: bool = True
    processes: int = Field(default=1, ge=1, le=256)
    metrics_port: int | None = Field(default=None, ge=1, le=65_535)
    metrics_address: str = "127.0.0.1"
    group_protocol: Literal["classic", "consumer"] = "classic"

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: dict[str, Any]) -> dict[str, Any]:
        return _FAST_LANDER | values if values.get("profile") == "fast" else values


class LakeSettings(Section):
    """Where the Iceberg catalog and the tables' files are, which Spark works on them, and how late.

    A bar or window is final when its source's newest fetch is ``lateness_s`` past its end; what
    comes later still corrects it.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_prefix="lake_")

    catalog_uri: str | None = None
    pins_dir: Path | None = None
    driver_memory: str = "1g"
    executor_memory: str = "1g"
    java_options: str = ""
    master: str = "local[*]"
    lateness_s: float = Field(default=LATENESS_S, ge=0)
    stream_checkpoint: str | None = None
    stream_max_records: int = Field(default=200_000, gt=0)
    stream_partitions: int = Field(default=4, gt=0)
    stream_metrics_port: int | None = Field(default=None, ge=1, le=65_535)
    stream_metrics_address: str = "127.0.0.1"
    cluster_port: int = 17077
    cluster_ui_port: int = 17080
    cluster_secret: SecretStr | None = None

    def uri(self) -> str:
        """Return the SQL catalog as an SQLAlchemy URL; a file in the state folder by default."""
        if self.catalog_uri:
            return self.catalog_uri
        return f"sqlite:///{ProjectSettings.load().state('lake', 'catalog.db')}"

    def pins(self) -> Path:
        """Return the folder in which warehouses tell how far they have come, absolute."""
        default = ProjectSettings.load().state("lake", "pins")
        return ROOT / self.pins_dir if self.pins_dir else default

    def secret(self) -> str:
        """Return what a Spark cluster's processes and its jobs share.

        Raises:
            SettingsError: it is not set.
        """
        return self._required("cluster_secret")


class WarehouseSettings(Section):
    """Which warehouse is loaded unless a command says another, and where the embedded one lies."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_prefix="warehouse_")

    engine: WarehouseEngine = "duckdb"
    path: Path | None = None
    gold_dir: Path | None = None
    lock_timeout_s: float = 600.0

    def file(self) -> Path:
        """Return the DuckDB file, absolute."""
        default = ProjectSettings.load().state("warehouse", "stocks_mds.duckdb")
        return ROOT / self.path if self.path else default

    def name(self) -> str:
        """Return what tells the DuckDB file from other warehouses that load from the same lake."""
        return f"duckdb_{_short_hash(str(self.file()))}"

    def published(self) -> Path:
        """Return the folder of published gold files and of the symlink ``current``."""
        return ROOT / self.gold_dir if self.gold_dir else ProjectSettings.load().state("gold")

    def lock(self) -> Path:
        """Return the lock that every writer of the file and the auditor take."""
        return self.file().with_suffix(".lock")


class SnowflakeSettings(Section):
    """A Snowflake account: where it is, whose keys open it, and what bootstrap makes there.

    Roles, users and warehouses are named after the database, so that a scratch one has its own.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_prefix="snowflake_")

    account: str | None = Field(default=None, pattern=r"^[\w.-]*$")
    # Unquoted, and in capitals: so Snowflake stores and shows it.
    database: str = Field(default="STOCKS_MDS", pattern=r"^[A-Z][A-Z0-9_]{0,99}$")
    host: str | None = None
    port: int = 443
    protocol: Literal["https", "http"] = "https"
    query_tag: str = Field(default="tapehouse", pattern=r"^[\w.-]{1,100}$")
    login_timeout_s: int = Field(default=30, gt=0)
    network_timeout_s: int = Field(default=300, gt=0)
    admin_user: str | None = None
    admin_private_key_path: Path | None = None
    admin_private_key_passphrase: SecretStr | None = None
    loader_private_key_path: Path | None = None
    loader_private_key_passphrase: SecretStr | None = None
    transformer_private_key_path: Path | None = None
    transformer_private_key_passphrase: SecretStr | None = None
    reader_private_key_path: Path | None = None
    reader_private_key_passphrase: SecretStr | None = None
    allowed_ips: str | None = None
    # Larger ones, there already, that dbt is to use for these layers; bootstrap lets it.
    silver_warehouse: str | None = Field(default=None, pattern=_NAME_OR_NOTHING)
    gold_warehouse: str | None = Field(default=None, pattern=_NAME_OR_NOTHING)
    monthly_credits: int = Field(default=10, gt=0)
    credit_price: Decimal | None = Field(default=None, gt=0)
    storage_role_arn: str | None = Field(
        default=None, pattern=r"^(arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+)?$"
    )

    def account_name(self) -> str:
        """Return the account's identifier.

        Raises:
            SettingsError: it is not set.
        """
        return self._set_by_hand("account", "<organisation>-<account>")

    def address(self) -> str:
        """Return the host that is asked; the account's own where none is configured."""
        return self.host or f"{self.account_name()}.snowflakecomputing.com"

    def name(self) -> str:
        """Return what tells this database from other warehouses that load from the same lake."""
        return f"snowflake_{_short_hash(f'{self.address()}:{self.port}/{self.database}')}"

    def lock(self) -> Path:
        """Return the lock that every load of this machine into this database takes."""
        return ProjectSettings.load().state("warehouse", f"{self.name()}.lock")

    def role(self, who: SnowflakeUser) -> str:
        """Return the role of a service user."""
        return f"{self.database}_{who.upper()}"

    def warehouse(self, who: SnowflakeUser) -> str:
        """Return the warehouse of a service user."""
        return f"{self.role(who)}_WH"

    def user(self, who: SnowflakeUser) -> str:
        """Return a user's name: a service user is named like its role.

        Raises:
            SettingsError: the administrator's is not set; only you know yours.
        """
        if who == "admin":
            return self._set_by_hand("admin_user", "a user who may use ACCOUNTADMIN")
        return self.role(who)

    def key(self, who: SnowflakeUser) -> tuple[Path, bytes | None]:
        """Return where a user's private key is, and its passphrase if it has one.

        Raises:
            SettingsError: no path is set.
        """
        path = self._set_by_hand(f"{who}_private_key_path", "a private key's file (PEM, PKCS#8)")
        passphrase: SecretStr | None = getattr(self, f"{who}_private_key_passphrase")
        text = passphrase.get_secret_value() if passphrase else ""
        return ROOT / Path(path).expanduser(), text.encode() or None

    def variable(self, field: str) -> str:
        """Return the environment variable that sets ``field``."""
        return self._variable(field)

    def _set_by_hand(self, field: str, what: str) -> str:
        value = getattr(self, field)
        # A line `NAME=` of the settings file: Path("") is ".".
        if value is None or str(value) in ("", "."):
            name = self._variable(field)
            raise SettingsError(
                f"{name} is not set: expected {what} in the environment or in {env_file()}"
            )
        return str(value)


class YahooSettings(Section):
    """Where Yahoo is: its own servers, or one that speaks like them."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_prefix="yahoo_")

    base_url: str | None = None
    stream_url: str = "wss://streamer.finance.yahoo.com/?version=2"
    # A request that takes longer is no more counted as under way by the budget (60 s).
    timeout_s: float = Field(default=10.0, gt=0, le=30)


class AirflowSettings(Section):
    """The orchestrator: where it listens, what it remembers runs in, and its generated secrets."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_prefix="airflow_")

    port: int = 18090
    # In a container: every address of its own, published as its engine is told.
    bind: str = "127.0.0.1"
    api_url: str | None = Field(default=None, pattern=r"^https?://\S+$")
    database_url: SecretStr | None = None
    # Tasks at once; each is a process, and the warehouse has one writer anyway.
    parallelism: int = Field(default=4, ge=1)
    admin_password: SecretStr | None = None
    secret_key: SecretStr | None = None
    fernet_key: SecretStr | None = None
    webhook_url: SecretStr | None = None

    def url(self) -> str:
        """Return where the API answers Airflow's other processes, without a slash at the end."""
        return (self.api_url or f"http://127.0.0.1:{self.port}").rstrip("/")

    def database(self) -> str:
        """Return the metadata database as an SQLAlchemy URL; SQLite by default."""
        default = f"sqlite:///{ProjectSettings.load().state('airflow', 'airflow.db')}"
        return self.database_url.get_secret_value() if self.database_url else default

    def secret(self, name: Literal["admin_password", "secret_key", "fernet_key"]) -> str:
        """Return one of the generated secrets.

        Raises:
            SettingsError: it is not set.
        """
        return self._required(name)


class SupersetSettings(Section):
    """Superset: where it listens, what it remembers in, what it reads, its generated secrets."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_prefix="superset_")

    port: int = 18088
    database_url: SecretStr | None = None
    # Gold in PostgreSQL; without it the published file.
    gold_url: SecretStr | None = None
    admin_password: SecretStr | None = None
    secret_key: SecretStr | None = None
    guest_secret: SecretStr | None = None

    def database(self) -> str:
        """Return the metadata database as an SQLAlchemy URL; SQLite by default."""
        default = f"sqlite:///{ProjectSettings.load().state('superset', 'superset.db')}"
        return self.database_url.get_secret_value() if self.database_url else default

    def secret(self, name: Literal["admin_password", "secret_key", "guest_secret"]) -> str:
        """Return one of the generated secrets.

        Raises:
            SettingsError: it is not set.
        """
        return self._required(name)


class ServingSettings(Section):
    """The PostgreSQL that published gold is copied to, for BI tools; none by default.

    ``reader_url`` is the same database as the market page logs in there.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_prefix="serving_")

    postgres_url: SecretStr | None = None
    reader_url: SecretStr | None = None
    # A copy shows itself when nobody is reading; a transaction left open keeps it from that.
    readers_wait_s: float = Field(default=300.0, ge=0)

    @property
    def has_postgres(self) -> bool:
        """Whether a database is configured."""
        return self.postgres_url is not None and bool(self.postgres_url.get_secret_value())

    def url(self) -> str:
        """Return the database's URL, password included.

        Raises:
            SettingsError: it is not set.
        """
        return self._url("postgres_url")

    def url_of_readers(self) -> str:
        """Return the URL of a user that may read ``gold`` and ``ops.builds``, password included.

        Raises:
            SettingsError: it is not set.
        """
        return self._url("reader_url")

    def _url(self, field: str) -> str:
        value: SecretStr | None = getattr(self, field)
        if value is None or not value.get_secret_value():
            raise SettingsError(
                f"{self._variable(field)} is not set: expected "
                "postgresql://user:password@host:port/database in the environment or in "
                f"{env_file()}"
            )
        return value.get_secret_value()


class PrometheusSettings(Section):
    """Prometheus beside the stack, and the exporter of what has no endpoint of its own."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_prefix="prometheus_")

    port: int = Field(default=19090, ge=1, le=65_535)
    exporter_port: int = Field(default=19464, ge=1, le=65_535)
    exporter_address: str = "127.0.0.1"
    # Below the 10 s that Prometheus gives a scrape.
    exporter_timeout_s: float = Field(default=8.0, gt=0, lt=10)


SECTIONS: tuple[type[Section], ...] = (
    ProjectSettings,
    KafkaSettings,
    ProduceSettings,
    LimitsSettings,
    StoreSettings,
    FinnhubSettings,
    AlphaVantageSettings,
    LandSettings,
    LakeSettings,
    WarehouseSettings,
    SnowflakeSettings,
    YahooSettings,
    AirflowSettings,
    SupersetSettings,
    ServingSettings,
    PrometheusSettings,
)


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def known() -> frozenset[str]:
    """Return the name of every setting of every component."""
    return frozenset().union(*(section.variables() for section in SECTIONS))


def _check_names(path: Path) -> None:
    names = known()
    variables.check_file(path, names)
    for warning in variables.check_environment(os.environ, names):
        _warn(warning)


@cache
def _warn(text: str) -> None:
    """Warn once per process: every section checks all names when it is loaded."""
    if not structlog.is_configured():  # its own default is standard output
        logs.configure()
    logs.get("settings").warning("unknown_setting", detail=text)
