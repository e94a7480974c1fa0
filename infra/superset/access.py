"""Who may see what in Superset: two roles and the rules of rows, made what is written here.

``market_reader`` sees every dataset of ours and changes nothing. ``tech_sector_reader`` sees the
same, of the instruments of one sector alone. A rule binds a user who has its role, whatever other
roles he has, the administrator excepted.
"""

from typing import Any

from superset import db, security_manager
from superset.connectors.sqla.models import RowLevelSecurityFilter, SqlaTable

from infra.superset import assets

READER = "market_reader"
SECTORS = {"tech_sector_reader": "Information Technology"}
# What changes something, downloads whole assets, or leads to SQL of one's own.
_DENIED = ("can_write", "can_delete", "can_edit", "can_add", "can_export", "can_import")
# Choices of filters are kept for links; they change no asset.
_ALLOWED_WRITES = (
    "DashboardFilterStateRestApi", "DashboardPermalinkRestApi", "ExploreFormDataRestApi",
)  # fmt: skip

_IN_SECTOR = "in (select instrument_id from gold.dim_instrument where is_current and sector = '{sector}')"
# By the columns that a dataset has: which of its rows belong to a sector.
_CLAUSES = {
    ("instrument_id",): f"instrument_id {_IN_SECTOR}",
    ("instrument_id_a", "instrument_id_b"): (
        f"instrument_id_a {_IN_SECTOR} and instrument_id_b {_IN_SECTOR}"
    ),
    ("universe",): "universe = '{sector}'",
}
# Of no instrument: runs of tests, and feeds as wholes.
OF_NO_INSTRUMENT = frozenset({"dq_scorecard", "freshness"})


def apply() -> None:
    """Make our roles and rules what is written here; harmless when repeated.

    Raises:
        ValueError: a dataset has no rule and is not among those of no instrument.
    """
    datasets = assets.ours("datasets")
    for name in (READER, *SECTORS):
        _role(name, datasets)
    kept = {
        _rule(role, sector, columns, datasets)
        for role, sector in SECTORS.items()
        for columns in _CLAUSES
    }
    for rule in db.session.query(RowLevelSecurityFilter).all():
        if rule.name.startswith(assets.MARK) and rule.name not in kept:
            db.session.delete(rule)
    db.session.commit()


def clause_columns(name: str, columns: set[str]) -> tuple[str, ...] | None:
    """Return the columns that a dataset's rule is about; None where it needs none.

    Raises:
        ValueError: it would be shown whole to who may see a part.
    """
    found = next((key for key in _CLAUSES if columns.issuperset(key)), None)
    if found is None and name not in OF_NO_INSTRUMENT:
        expected = ", ".join("/".join(key) for key in _CLAUSES)
        raise ValueError(f"dataset {name}: expected a column to tell sectors by ({expected})")
    return found


def _role(name: str, datasets: list[SqlaTable]) -> None:
    role = security_manager.find_role(name) or security_manager.add_role(name)
    gamma = security_manager.find_role("Gamma")
    seen = [
        security_manager.add_permission_view_menu("datasource_access", dataset.perm)
        for dataset in datasets
    ]
    role.permissions = [one for one in gamma.permissions if _may(one)] + seen


def _may(permission: Any) -> bool:  # noqa: ANN401 - of Flask-AppBuilder
    denied = permission.permission.name.startswith(_DENIED)
    return not denied or permission.view_menu.name in _ALLOWED_WRITES


def _rule(role: str, sector: str, columns: tuple[str, ...], datasets: list[SqlaTable]) -> str:
    name = f"{assets.MARK}{role}:{'/'.join(columns)}"
    found = db.session.query(RowLevelSecurityFilter).filter_by(name=name).one_or_none()
    rule = found or RowLevelSecurityFilter(name=name)
    rule.filter_type = "Regular"
    rule.clause = _CLAUSES[columns].format(sector=sector)
    rule.roles = [security_manager.find_role(role)]
    rule.tables = [
        one
        for one in datasets
        if clause_columns(one.table_name, {c.column_name for c in one.columns}) == columns
    ]
    db.session.add(rule)
    return name
