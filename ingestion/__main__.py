"""``python -m ingestion``: provider to Kafka, Kafka to bronze, bronze and lake to the warehouse."""

from collections.abc import Callable

import typer

from ingestion import cli

PROGRAM = "python -m ingestion"
COMMANDS = {
    "contracts": "Write the JSON Schemas of the messages, or check that they are up to date.",
    "produce": "Send messages to Kafka: of providers, recorded, simulated, raw; what waits: spool.",
    "fakes": "Serve Yahoo, Finnhub and Alpha Vantage locally, for development without network.",
    "budget": "Show what is left of each provider's request budget.",
    "redrive": "Dead letters: list, show, and send what passes now, once.",
    "land": "Land Kafka's records in the object store.",
    "drain": "Wait until bronze has reached the ends that Kafka's logs have now.",
    "doctor": "Probe the object store: whether it keeps what landing is built on.",
    "status": "Show the landers: lag, throughput, what they hold, the oldest not in bronze.",
    "load": "Load what is new in bronze and the lake into the warehouse.",
    "snowflake": "A Snowflake account: bootstrap, check, verify, rights, keys, teardown.",
}

app = typer.Typer(
    help=f"{__doc__}\n\nEvery command has --help, and --debug for logs and tracebacks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _plug(name: str, description: str) -> None:
    # The part parses its own arguments, --help among them, once it is imported.
    everything = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
    app.command(name, help=description, context_settings=everything)(_runner(name))


def _runner(name: str) -> Callable[[typer.Context], None]:
    def run(context: typer.Context) -> None:
        cli.run(name, context.args, PROGRAM)

    return run


for _name, _description in COMMANDS.items():
    _plug(_name, _description)


if __name__ == "__main__":
    app(prog_name=PROGRAM)
