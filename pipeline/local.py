"""The demo's other beginning: providers on this machine, asked by the product's own adapters."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.request import Request, urlopen

from ingestion import calendar
from ingestion.clock import rfc3339
from ingestion.errors import StackError
from ingestion.settings import ROOT
from pipeline import job
from pipeline.stages import Stage

SCRIPT: Final = Path(__file__).parent / "local-providers.yml"
# Market seconds per real second while quotes and trades are watched, and how long that is.
SPEED: Final = 60.0
WATCHED_S: Final = 20.0
# Into the session: its first minutes are the busiest.
_INTO_SESSION: Final = timedelta(minutes=5)
_START_TIMEOUT_S: Final = 60.0
_POLL_S: Final = 0.1
_URL: Final = re.compile(r"^(\w+_URL)=(\S+)$", re.MULTILINE)
_END: Final = "# control: "
# The keys are any.
_SETTINGS: Final = {
    "FINNHUB_API_KEY": "local",
    "ALPHAVANTAGE_API_KEY": "local",
    "ALPHAVANTAGE_PREMIUM": "true",
    "LIMITS_ATTEMPTS": "2",
}


@contextmanager
def providers(folder: Path, ledger: tuple[str, ...]) -> Iterator[Iterator[Stage]]:
    """Start the local providers, and give the stages that ask them; they end with the block.

    ``folder`` is where their log goes.

    Raises:
        StackError: they did not start.
    """
    log = folder / "providers.log"
    command = ["ingestion", "fakes", "--port-base", "0", "--script", str(SCRIPT)]
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], stdout=out, stderr=subprocess.STDOUT, cwd=ROOT
        )
        try:
            urls, control = _started(process, log)
            yield _stages({**urls, **_SETTINGS}, control, ledger)
        finally:
            process.terminate()
            process.wait()


def _stages(
    environment: Mapping[str, str], control: str, ledger: tuple[str, ...]
) -> Iterator[Stage]:
    yield replace(job.provider_bars(*ledger), environment=environment)
    _go_to_session(control)
    for stage in (job.provider_quotes(*ledger), job.provider_trades(*ledger)):
        yield replace(stage, environment=environment, ends_after_s=WATCHED_S)


def _started(process: "subprocess.Popen[bytes]", log: Path) -> tuple[dict[str, str], str]:
    """Wait until the providers have said where they are; return their settings and the control."""
    until = time.monotonic() + _START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < until:
        said = log.read_text()
        if _END in said and said.endswith("\n"):
            settings, control = said.rsplit(_END, 1)
            return dict(_URL.findall(settings)), control.strip()
        time.sleep(_POLL_S)
    raise StackError(f"expected the local providers to start, see {log}")


def _go_to_session(control: str) -> None:
    """Set the served market to its latest complete session, whatever the time of day is here."""
    now = datetime.fromisoformat(_asked(f"{control}/state")["now"])
    complete = [one for one in calendar.get().sessions(None, now.date()) if one.close_at <= now]
    at = complete[-1].open_at + _INTO_SESSION
    _asked(f"{control}/clock", {"at": rfc3339(at), "speed": SPEED})


def _asked(url: str, document: Mapping[str, Any] | None = None) -> dict[str, Any]:
    body = None if document is None else json.dumps(document).encode()
    with urlopen(Request(url, body), timeout=_START_TIMEOUT_S) as answer:  # noqa: S310 - our own
        found: dict[str, Any] = json.load(answer)
    return found
