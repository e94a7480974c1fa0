"""`snowflake check`: an account that differs from rights.yml is seen, and how."""

import pytest

from ingestion.snowflake import rights as rights_file
from ingestion.snowflake import scripts
from tests.ingestion.snowflake.account import Account, Rows
from tests.ingestion.snowflake.conftest import DATABASE, Shell

# What `all tables in …` comes to, and what the roles make themselves.
TABLES = [*scripts.tables(), "gold.gold_kpi"]
MADE = [
    ("OWNERSHIP", "TABLE", f"{DATABASE}.SILVER.SILVER_BARS_JUDGED"),
    ("OWNERSHIP", "VIEW", f"{DATABASE}.BRONZE.BRONZE_BARS"),
    ("OWNERSHIP", "TABLE", f"{DATABASE}.GOLD.GOLD_KPI"),
    ("OWNERSHIP", "SCHEMA", f"{DATABASE}.GOLD_KEPT_3"),
    ("OWNERSHIP", "TABLE", f"{DATABASE}.GOLD_KEPT_3.GOLD_KPI"),
]


def granted(role: str) -> Rows:
    """What an account shows of a role after bootstrap, without external stages."""
    rows: Rows = []
    for right in rights_file.load():
        external = right.place in ("common.bronze_objects", "common.lake_files")
        is_named = right.place.startswith("SNOWFLAKE_")
        if right.role != role or external or is_named or right.kind.startswith("future"):
            continue
        privilege, kind = right.privilege.upper(), right.kind.upper().replace(" ", "_")
        if right.kind == "all tables":
            names = [table for table in TABLES if table.startswith(f"{right.place}.")]
            rows += [(privilege, "TABLE", f"{DATABASE}.{name.upper()}") for name in names]
        elif right.kind == "all file formats":
            rows.append((privilege, "FILE_FORMAT", f"{DATABASE}.COMMON.BRONZE_LINES"))
        elif right.kind == "warehouse":
            rows.append((privilege, kind, f"{DATABASE}_{right.place}"))
        elif not right.kind.startswith("all"):
            rows.append((privilege, kind, f"{DATABASE}.{right.place.upper()}".strip(".")))
    return rows


@pytest.fixture(autouse=True)
def as_made(account: Account) -> None:
    for role in ("LOADER", "TRANSFORMER", "READER"):
        account.grants[f"{DATABASE}_{role}"] = granted(role)
    account.grants[f"{DATABASE}_TRANSFORMER"] += MADE
    account.parameters = {
        "TIMEZONE": "UTC",
        "TIMESTAMP_TYPE_MAPPING": "TIMESTAMP_NTZ",
        "WEEK_START": "0",
        "QUOTED_IDENTIFIERS_IGNORE_CASE": "false",
    }


def test_an_account_as_bootstrap_makes_it_is_ok(shell: Shell, account: Account) -> None:
    found = shell.run("check")

    assert found.returncode == 0, found.stdout + found.stderr
    assert [line.split() for line in found.stdout.splitlines()] == [
        [f"{DATABASE}_{role}", "ok"] for role in ("LOADER", "TRANSFORMER", "READER")
    ]
    assert [login["SESSION_PARAMETERS"]["QUERY_TAG"] for login in account.logins] == [
        "tapehouse:check"
    ] * 3


MORE = {
    "READER": [
        ("SELECT", "TABLE", f"{DATABASE}.COMMON.BARS_RAW"),
        ("USAGE", "SCHEMA", f"{DATABASE}.GOLD_CANDIDATE"),
        ("INSERT", "TABLE", f"{DATABASE}.GOLD.GOLD_KPI"),
        ("OWNERSHIP", "TABLE", f"{DATABASE}.GOLD.GOLD_KPI"),
        ("OWNERSHIP", "SCHEMA", f"{DATABASE}.GOLD"),
        ("USAGE", "SCHEMA", f"{DATABASE}.GOLD_KEPT_3"),
        ("USAGE", "WAREHOUSE", f"{DATABASE}_LOADER_WH"),
    ],
    "LOADER": [
        ("SELECT", "TABLE", f"{DATABASE}.GOLD.GOLD_KPI"),
        ("DELETE", "TABLE", f"{DATABASE}.COMMON.BARS_RAW"),
        ("OWNERSHIP", "TABLE", f"{DATABASE}.COMMON.BARS_RAW"),
        ("USAGE", "ROLE", "ACCOUNTADMIN"),
    ],
    "TRANSFORMER": [
        ("INSERT", "TABLE", f"{DATABASE}.COMMON.BARS_RAW"),
        ("SELECT", "TABLE", f"{DATABASE}.OPS.LOAD_LEDGER"),
        ("OWNERSHIP", "VIEW", f"{DATABASE}.OPS.X"),
    ],
}


@pytest.mark.parametrize(
    ("role", "more"), [(role, more) for role, listed in MORE.items() for more in listed]
)
def test_a_right_too_many_is_seen(
    shell: Shell, account: Account, role: str, more: tuple[str, str, str]
) -> None:
    account.grants[f"{DATABASE}_{role}"].append(more)

    found = shell.run("check")

    privilege, kind, _ = (text.lower() for text in more)
    assert found.returncode == 1
    assert f"  not expected: {privilege} on {kind} " in found.stdout
    assert found.stderr.startswith("error: 1 differences from infra/snowflake: ")


@pytest.mark.parametrize(
    ("role", "lost", "line"),
    [
        ("LOADER", ("INSERT", "TABLE", f"{DATABASE}.OPS.LOAD_LEDGER"), "insert on table ops.load_"),
        ("LOADER", ("INSERT", "TABLE", f"{DATABASE}.COMMON.BARS_RAW"), "insert on table common.b"),
        ("TRANSFORMER", ("CREATE SCHEMA", "DATABASE", DATABASE), "create schema on database"),
        ("READER", ("USAGE", "WAREHOUSE", f"{DATABASE}_READER_WH"), "usage on warehouse READER_WH"),
    ],
)
def test_a_right_too_few_is_seen(
    shell: Shell, account: Account, role: str, lost: tuple[str, str, str], line: str
) -> None:
    account.grants[f"{DATABASE}_{role}"].remove(lost)

    found = shell.run("check")

    assert found.returncode == 1
    assert f"  missing: {line}" in found.stdout


def test_external_stages_are_asked_for_where_they_are_configured(
    shell: Shell, account: Account
) -> None:
    shell.variables["SNOWFLAKE_STORAGE_ROLE_ARN"] = "arn:aws:iam::123456789012:role/x"

    found = shell.run("check")

    assert "  missing: usage on stage common.bronze_objects\n" in found.stdout
    assert "  missing: usage on stage common.lake_files\n" in found.stdout


def test_another_role_or_warehouse_is_seen(shell: Shell, account: Account) -> None:
    account.session = {"role": "PUBLIC", "warehouse": "COMPUTE_WH"}

    found = shell.run("check")

    assert found.returncode == 1
    assert "  role: expected STOCKS_MDS_LOADER, found PUBLIC\n" in found.stdout
    assert "  warehouse: expected STOCKS_MDS_LOADER_WH, found COMPUTE_WH\n" in found.stdout


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TIMEZONE", "America/Los_Angeles"),
        ("TIMESTAMP_TYPE_MAPPING", "TIMESTAMP_LTZ"),
        ("WEEK_START", "7"),
        ("QUOTED_IDENTIFIERS_IGNORE_CASE", "true"),
    ],
)
def test_a_parameter_that_is_the_account_s_own_is_seen(
    shell: Shell, account: Account, name: str, value: str
) -> None:
    account.parameters[name] = value

    found = shell.run("check")

    assert found.returncode == 1
    assert f"  {name}: expected " in found.stdout and f"for the user, found {value}" in found.stdout
    for login in account.logins:
        assert str(login["SESSION_PARAMETERS"][name]) != value


def test_a_layer_s_warehouse_is_asked_for_where_a_setting_names_it(
    shell: Shell, account: Account
) -> None:
    granted_by_hand = ("USAGE", "WAREHOUSE", "BIG_WH")
    shell.variables["SNOWFLAKE_GOLD_WAREHOUSE"] = "big_wh"
    shell.variables["SNOWFLAKE_SILVER_WAREHOUSE"] = f"{DATABASE}_LAYER_WH"

    lacking = shell.run("check")
    account.grants[f"{DATABASE}_TRANSFORMER"] += [
        granted_by_hand,
        ("USAGE", "WAREHOUSE", f"{DATABASE}_LAYER_WH"),
    ]
    whole = shell.run("check")
    del shell.variables["SNOWFLAKE_GOLD_WAREHOUSE"]
    unnamed = shell.run("check")

    assert "  missing: usage on warehouse BIG_WH\n" in lacking.stdout
    assert "  missing: usage on warehouse LAYER_WH\n" in lacking.stdout
    assert whole.returncode == 0, whole.stdout
    assert "  not expected: usage on warehouse BIG_WH\n" in unnamed.stdout
