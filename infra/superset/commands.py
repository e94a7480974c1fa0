"""What ``python -m infra.superset`` does; importable only where Superset's application is up."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import superset
from flask import current_app, g
from flask_migrate import upgrade  # type: ignore[import-untyped]
from sqlalchemy import text
from superset import appbuilder, db, security_manager

from infra.superset import access, assets, bundle

USER: Final = "admin"


def prepare(folder: Path) -> str:
    """Bring metadata, the administrator's password, permissions and our assets up to date."""
    upgrade(directory=str(Path(superset.__file__).parent / "migrations"))
    if db.engine.dialect.name == "sqlite":
        db.session.execute(text("pragma journal_mode=wal"))  # who reads does not wait for a writer
    appbuilder.add_permissions(update_perms=True)
    security_manager.sync_role_definitions()
    _administrator(current_app.config["ADMIN_PASSWORD"])
    return import_(folder)


def import_(folder: Path) -> str:
    """Make our assets, roles and rules what the files say."""
    g.user = security_manager.find_user(username=USER)
    files = bundle.read(folder)
    removed = assets.import_bundle(files)
    access.apply()
    gone = f"; removed {', '.join(removed)}" if removed else ""
    return f"{len(files)} files imported{gone}"


def export(folder: Path) -> str:
    """Make the files what our assets are."""
    g.user = security_manager.find_user(username=USER)
    changed = bundle.write(assets.export_bundle(bundle.read(folder)), folder)
    return f"changed: {', '.join(changed)}" if changed else "the files are what Superset has"


def _administrator(password: str) -> None:
    user = security_manager.find_user(username=USER)
    if user is None:
        role = security_manager.find_role("Admin")
        security_manager.add_user(USER, "Admin", "User", "admin@localhost", role, password)
    else:
        security_manager.reset_password(user.id, password)
    db.session.commit()


COMMANDS: Final[dict[str, Callable[[Path], str]]] = {
    "prepare": prepare,
    "import": import_,
    "export": export,
}
