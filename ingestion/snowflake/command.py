"""The commands ``python -m ingestion snowflake``."""

from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from ingestion.errors import SnowflakeError
from ingestion.settings import ProjectSettings, SnowflakeSettings, StoreSettings
from ingestion.snowflake import check as checks
from ingestion.snowflake import keys as key_files
from ingestion.snowflake import rights as rights_file
from ingestion.snowflake import scripts
from ingestion.snowflake.connection import connection
from ingestion.snowflake.run import run
from ingestion.verify.command import verify

app = typer.Typer(
    help="A Snowflake account: make what the project needs there, look at it, drop it.",
    no_args_is_help=True,
)

app.command()(verify)

Plan = Annotated[bool, typer.Option("--plan", help="Print the SQL; nothing is asked or changed.")]


@app.command()
def bootstrap(plan: Plan = False) -> None:
    """Make database, warehouses, tables, stages, roles, rights and service users.

    Harmless when repeated: what is there stays, what has been added since comes to it.
    """
    settings, store = SnowflakeSettings.load(), StoreSettings.load()
    external, layers = scripts.has_external(settings), scripts.layer_warehouses(settings)
    if plan:
        found = scripts.placeholders(settings, store)
        _print(scripts.bootstrap(found, external, layers), external)
        return
    listed = scripts.bootstrap(scripts.values(settings, store), external, layers)
    with connection(settings, "admin", "bootstrap") as session:
        done = run(session, listed, typer.echo)
    if not external:
        typer.echo(_left_out(settings))
    typer.echo(f"{settings.database} is there: {done} statements; next: `snowflake check`")


@app.command()
def teardown(plan: Plan = False) -> None:
    """Drop all of it, with every row; refuses every database but SCRATCH_…."""
    settings = SnowflakeSettings.load()
    script = scripts.teardown(settings)
    if plan:
        _print([script], external=True)
        return
    with connection(settings, "admin", "teardown") as session:
        run(session, [script], typer.echo)
    typer.echo(f"{settings.database} is gone")


@app.command()
def check() -> None:
    """Log in as each service user; fail where role, parameters or rights are not as expected."""
    settings = SnowflakeSettings.load()
    rights, external = rights_file.load(), scripts.has_external(settings)
    differ = 0
    for who in scripts.SERVICE_USERS:
        found = checks.differences(settings, who, rights, external)
        typer.echo(f"{settings.user(who):<40} {'differs' if found else 'ok'}")
        for line in found:
            typer.echo(f"  {line}")
        differ += len(found)
    if differ:
        raise SnowflakeError(
            f"{differ} differences from infra/snowflake: `python -m ingestion snowflake "
            "bootstrap` makes what is missing; what is not expected was granted by hand"
        )


@app.command()
def rights() -> None:
    """Show which role may do what."""
    table = Table(box=box.SIMPLE)
    for name in ("role", "object", "privileges"):
        table.add_column(name, overflow="fold")
    for row in rights_file.table(rights_file.load()):
        table.add_row(*row)
    Console().print(table)


@app.command()
def keys(
    into: Annotated[
        Path | None, typer.Option(help="Folder; by default in the state folder.")
    ] = None,
) -> None:
    """Make a key pair for you and each service user, where there is none yet.

    Prints the settings that name them, and the statements that give you yours and take it back.
    """
    settings = SnowflakeSettings.load()
    folder = (into or ProjectSettings.load().state("snowflake")).resolve()
    for who in ("admin", *scripts.SERVICE_USERS):
        path = folder / f"{who}.p8"
        if not path.exists():
            key_files.make(path)
        typer.echo(f"{settings.variable(f'{who}_private_key_path')}={path}")
    mine = settings.model_copy(update={"admin_private_key_path": folder / "admin.p8"})
    public = key_files.public_text(key_files.read(mine, "admin"))
    # The second of a user's two keys: the first may be in use.
    typer.echo("# in a worksheet of yours, before bootstrap:")
    typer.echo(f"# alter user <you> set rsa_public_key_2 = '{public}';")
    typer.echo(f"# and when all is made, since {folder / 'admin.p8'} is not encrypted:")
    typer.echo("# alter user <you> unset rsa_public_key_2;   -- and remove the file")


def _print(listed: list[scripts.Script], external: bool) -> None:
    for script in listed:
        typer.echo(f"-- {script.name}\n{script.text}")
    if not external:
        typer.echo(f"-- {_left_out(SnowflakeSettings.load())}")


def _left_out(settings: SnowflakeSettings) -> str:
    names = ", ".join(sorted(scripts.EXTERNAL))
    return f"left out, as {settings.variable('storage_role_arn')} is not set: {names}"
