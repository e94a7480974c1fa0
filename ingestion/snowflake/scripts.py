"""The SQL of ``infra/snowflake``, filled in with this account's names and values."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from string import Template

from ingestion.errors import SettingsError
from ingestion.settings import ROOT, SnowflakeSettings, SnowflakeUser, StoreSettings
from ingestion.snowflake import keys

FOLDER = ROOT / "infra" / "snowflake"
SERVICE_USERS: tuple[SnowflakeUser, ...] = ("loader", "transformer", "reader")
TEARDOWN = "teardown.sql"
TABLES = "06_tables.sql"
# What needs an AWS role that may read both buckets.
EXTERNAL = frozenset({"05_external_stages.sql", "08_external_grants.sql"})
# Run once for each warehouse that a setting names.
LAYERS = "10_layer_warehouses.sql"
LAYER_WAREHOUSES = ("silver_warehouse", "gold_warehouse")
SCRATCH = "SCRATCH_"
# A wider network is no list of addresses that somebody knows: of IPv4, 65,536.
_WIDEST = 16

Values = Mapping[str, str]


@dataclass(frozen=True)
class Script:
    """A file of SQL, filled in."""

    name: str
    text: str

    def statements(self) -> list[str]:
        """Return its statements: each ends with a semicolon at the end of a line.

        Comments have lines of their own, and are left out.
        """
        lines = [line for line in self.text.splitlines() if not line.lstrip().startswith("--")]
        parts = "\n".join(lines).split(";\n")
        return [part.strip().removesuffix(";") for part in parts if part.strip()]


def bootstrap(values: Values, external: bool, layer_warehouses: Sequence[str] = ()) -> list[Script]:
    """Return the scripts that make everything, in their order; harmless when repeated."""
    names = sorted(path.name for path in FOLDER.glob("[0-9][0-9]_*.sql"))
    names = [name for name in names if (external or name not in EXTERNAL) and name != LAYERS]
    layers = [_script(LAYERS, {**values, "layer_warehouse": one}) for one in layer_warehouses]
    return [*(_script(name, values) for name in names), *layers]


def tables() -> list[str]:
    """Return the tables of the load, as schema and name."""
    made = r"create table if not exists \$\{database\}\.(\w+\.\w+)"
    return re.findall(made, (FOLDER / TABLES).read_text())


def teardown(settings: SnowflakeSettings) -> Script:
    """Return the script that drops everything.

    Raises:
        SettingsError: the database is not a scratch one.
    """
    if not settings.database.startswith(SCRATCH):
        raise SettingsError(
            f"{settings.variable('database')}: teardown drops everything, expected a database "
            f"whose name begins with {SCRATCH}, found {settings.database}"
        )
    return _script(TEARDOWN, {"database": settings.database})


def has_external(settings: SnowflakeSettings) -> bool:
    """Return whether Snowflake may read the buckets itself."""
    return bool(settings.storage_role_arn)


def layer_warehouses(settings: SnowflakeSettings) -> list[str]:
    """Return the warehouses that dbt is to use for layers, beside TRANSFORMER's own."""
    named = [getattr(settings, field) for field in LAYER_WAREHOUSES]
    return sorted({name.upper() for name in named if name})


def placeholders(settings: SnowflakeSettings, store: StoreSettings) -> dict[str, str]:
    """Return what is filled in to be looked at: where a value is not set, its variable's name."""
    shown = _plain(settings, store)
    for who in SERVICE_USERS:
        field = f"{who}_private_key_path"
        is_set = getattr(settings, field) is not None
        shown[f"{who}_public_key"] = (
            _public_key(settings, who) if is_set else f"<public key of {settings.variable(field)}>"
        )
    name = settings.variable("allowed_ips")
    shown["allowed_ips"] = _addresses(settings) if settings.allowed_ips else f"'<{name}>'"
    return shown


def values(settings: SnowflakeSettings, store: StoreSettings) -> dict[str, str]:
    """Return what is filled in to be run.

    Raises:
        SettingsError: a key or the addresses are not set, or are none.
    """
    public = {f"{who}_public_key": _public_key(settings, who) for who in SERVICE_USERS}
    return {**_plain(settings, store), **public, "allowed_ips": _addresses(settings)}


def _public_key(settings: SnowflakeSettings, who: SnowflakeUser) -> str:
    return keys.public_text(keys.read(settings, who))


def _plain(settings: SnowflakeSettings, store: StoreSettings) -> dict[str, str]:
    return {
        "database": settings.database,
        "monthly_credits": str(settings.monthly_credits),
        "storage_role_arn": settings.storage_role_arn or "",
        "bronze_url": f"s3://{_bucket(store, 'bronze_bucket')}/",
        "lake_url": f"s3://{_bucket(store, 'lake_bucket')}/",
    }


def _bucket(store: StoreSettings, field: str) -> str:
    name: str = getattr(store, field)
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", name):
        raise SettingsError(f"STORE_{field.upper()}: expected a bucket's name, found {name!r}")
    return name


def _addresses(settings: SnowflakeSettings) -> str:
    name = settings.variable("allowed_ips")
    if not settings.allowed_ips:
        raise SettingsError(
            f"{name} is not set: expected the addresses from which the service users log in, as "
            "203.0.113.7 or 203.0.113.0/24, with commas (Snowflake sees yours with `select "
            "current_ip_address()`)"
        )
    listed = [part.strip() for part in settings.allowed_ips.split(",")]
    for part in listed:
        try:
            network = IPv4Network(part)
        except ValueError as error:
            raise SettingsError(
                f"{name}: expected an IPv4 address or network, found {part!r}"
            ) from error
        if network.prefixlen < _WIDEST:
            raise SettingsError(
                f"{name}: expected networks of /{_WIDEST} or narrower, found {part}: with it the "
                f"keys alone would keep {network.num_addresses:,} addresses out"
            )
    return ", ".join(f"'{part}'" for part in listed)


def _script(name: str, values: Values) -> Script:
    return Script(name, Template((FOLDER / name).read_text()).substitute(values))
