"""Who may see what in Superset: roles and rules of rows, made what ``rules.py`` says.

``market_reader`` sees every dataset of ours and changes nothing; a reader of a sector sees the
same, of the sector's instruments alone. A rule binds whoever has its role, whatever other roles he
has, the administrator excepted.
"""

from typing import Any

from superset import db, security_manager
from superset.connectors.sqla.models import RowLevelSecurityFilter, SqlaTable

from infra.superset import assets, rules

# What changes something or takes whole assets away.
_DENIED = ("can_write", "can_delete", "can_edit", "can_add", "can_export", "can_import")
# Choices of filters are kept for links; they change no asset.
_ALLOWED_WRITES = (
    "DashboardFilterStateRestApi", "DashboardPermalinkRestApi", "ExploreFormDataRestApi",
)  # fmt: skip


def apply() -> None:
    """Make our roles and rules what is written; harmless when repeated.

    Raises:
        ValueError: a dataset has no rule and is not among those of no instrument.
    """
    datasets = assets.ours("datasets")
    for name in (rules.READER, *rules.SECTORS):
        _role(name, datasets)
    kept = {_rule(role, columns, datasets) for role in rules.SECTORS for columns in rules.CLAUSES}
    for rule in db.session.query(RowLevelSecurityFilter).all():
        if rule.name.startswith(assets.MARK) and rule.name not in kept:
            db.session.delete(rule)
    db.session.commit()


def _role(name: str, datasets: list[SqlaTable]) -> None:
    """Give a role what Superset's Gamma may do, short of changes, on our datasets."""
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


def _rule(role: str, columns: tuple[str, ...], datasets: list[SqlaTable]) -> str:
    name = f"{assets.MARK}{role}:{'/'.join(columns)}"
    found = db.session.query(RowLevelSecurityFilter).filter_by(name=name).one_or_none()
    rule = found or RowLevelSecurityFilter(name=name)
    rule.filter_type = "Regular"
    rule.clause = rules.CLAUSES[columns].format(sector=rules.SECTORS[role])
    rule.roles = [security_manager.find_role(role)]
    rule.tables = [
        one
        for one in datasets
        if rules.columns_of(one.table_name, [c.column_name for c in one.columns]) == columns
    ]
    db.session.add(rule)
    return name
