"""The command ``python -m ingestion fakes``."""

import asyncio
import signal
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer

from ingestion import calendar
from ingestion.clock import SystemClock
from ingestion.errors import SettingsError
from ingestion.fakes.script import PROVIDERS, Provider, Script, load
from ingestion.fakes.served import moment
from ingestion.fakes.site import Options, Site


def fakes(
    provider: Annotated[
        list[str] | None,
        typer.Option(help="yahoo, finnhub or alphavantage; all without. May be repeated."),
    ] = None,
    port_base: Annotated[
        int, typer.Option(min=0, max=65_500, help="First of four ports; 0 takes free ones.")
    ] = 8610,
    script: Annotated[Path | None, typer.Option(help="Faults, limits and plans (YAML).")] = None,
    served_at: Annotated[
        str | None,
        typer.Option(
            help="Serve the recorded years as they stood then: 2013-02-28 (its close) or "
            "2013-02-28T16:00Z. Without, the recorded bars stand on recent sessions."
        ),
    ] = None,
    speed: Annotated[
        float, typer.Option(min=0, help="Market seconds per real second; 0 stands still.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="Of the simulated trades within sessions.")] = 7,
    volume_fraction: Annotated[
        float, typer.Option(min=0.0001, max=1, help="Share of a bar's volume that is traded.")
    ] = 0.04,
    more_symbols: Annotated[
        int, typer.Option(min=0, max=9_999, help="So many further symbols: SIM0001 and so on.")
    ] = 0,
    keep_observations: Annotated[
        bool, typer.Option(help="Remember every observation that is handed out.")
    ] = True,
) -> None:
    """Serve Yahoo, Finnhub and Alpha Vantage on this machine, with recorded and simulated data.

    Prints where they are as settings, then serves until SIGTERM or Ctrl-C.
    """
    options = Options(
        providers=_providers(provider or []),
        port_base=port_base,
        script=load(script) if script else Script(),
        served_at=moment(served_at, calendar.get()) if served_at else None,
        speed=speed,
        seed=seed,
        volume_fraction=Decimal(str(volume_fraction)),
        more_symbols=more_symbols,
        keep_observations=keep_observations,
    )
    asyncio.run(_serve(Site(options, SystemClock())))


async def _serve(site: Site) -> None:
    stop, ready = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    serving = asyncio.create_task(site.run(stop, ready))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if not serving.done():
        typer.echo(_settings(site))
    waiting.cancel()
    await serving


def _settings(site: Site) -> str:
    urls = site.urls()
    control = urls.pop("CONTROL_URL")
    return "\n".join([*(f"{name}={url}" for name, url in urls.items()), f"# control: {control}"])


def _providers(named: list[str]) -> tuple[Provider, ...]:
    unknown = sorted(set(named) - set(PROVIDERS))
    if unknown:
        raise SettingsError(f"--provider: expected {', '.join(PROVIDERS)}, found {unknown[0]}")
    return tuple(name for name in PROVIDERS if not named or name in named)
