"""``python -m drill snowflake``: the whole way on a Snowflake account, in a scratch database."""

from pathlib import Path
from typing import Annotated

import typer


def play(
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the database; `snowflake teardown` drops it.")
    ] = False,
    report: Annotated[Path | None, typer.Option(help="Write the report here too.")] = None,
) -> None:
    """Bootstrap, load, build, verify and try rights on the account that is configured; tear down.

    Needs SNOWFLAKE_ACCOUNT, SNOWFLAKE_ADMIN_USER, SNOWFLAKE_ADMIN_PRIVATE_KEY_PATH and a
    SNOWFLAKE_DATABASE whose name begins with SCRATCH_; every other one is refused. Exits 1 where a
    part is red.
    """
    from drill.snowflake import live  # the connector and Iceberg take seconds to import

    if live.run(keep, report) == "red":
        raise typer.Exit(1)
