"""One market hour: the servers, three producers, what happens to them; all of it processes."""

import base64
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

import msgspec

from drill.hour.facts import decoded
from drill.hour.truth import Ended, Truth, Window
from ingestion.errors import StackError
from ingestion.settings import ROOT

SCRIPT: Final = Path(__file__).with_name("hour.yml")
SERVED_AT: Final = "2013-02-28T16:00Z"
DAYS: Final = ("2012-11-01", "2013-02-27")
SYMBOLS: Final = ("AAPL", "MSFT", "IBM", "GOOG")
_HOUR_S: Final = 3_600.0
_START_S: Final = 60.0
_END_S: Final = 60.0
# The circuit stays open so long, and the next request comes with the next turn.
_OPEN_S: Final = 4
_FRAMES: Final = (
    b"not json",
    b'{"type":"news","data":[]}',
    b'{"data":[{"p":1',
    b'{"type":"trade","type":"trade","data":[]}',
    b'{"type":"trade","data":NaN}',
    b"\xff\xfe\x00frame",
)
_SETTINGS: Final = {
    "LIMITS_YAHOO": "2/second,60/minute",
    "LIMITS_FINNHUB": "30/second,60/minute",
    "LIMITS_ALPHAVANTAGE": "2/second,75/minute",
    "ALPHAVANTAGE_PREMIUM": "true",
    "LIMITS_MAX_WAIT_S": "5",
    "LIMITS_ATTEMPTS": "2",
    "LIMITS_RETRY_S": "6",
    "LIMITS_BREAKER_FAILURES": "3",
    "LIMITS_BREAKER_OPEN_S": str(_OPEN_S),
}
# A shorter hour's mute socket is no minute long: half of its length is enough for a watchdog.
_MUTE_SHARE: Final = 0.5


@dataclass(frozen=True)
class Hour:
    """The declared hour at a length: every second of it in proportion, no limit changed."""

    script: Mapping[str, Any]
    restarts: Sequence[Mapping[str, Any]]
    length_s: float
    scale: float

    @property
    def speed(self) -> float:
        """Market seconds per real second."""
        return _HOUR_S / self.length_s

    @property
    def keys(self) -> dict[str, str]:
        """The keys that the servers know, by the variable that gives them to a producer."""
        known = self.script["keys"]
        return {f"{name.upper()}_API_KEY": key for name, [key] in known.items()}

    @property
    def watchdog(self) -> dict[str, str]:
        """The setting of a watchdog that fits into the mute socket; the full hour has our own."""
        if self.scale >= 1:
            return {}
        lengths = [fault["for_s"] for fault in self.faults("mute")]
        return {"FINNHUB_MUTE_AFTER_S": f"{_MUTE_SHARE * min(lengths):.3f}"}

    def faults(self, kind: str) -> list[Mapping[str, Any]]:
        return [fault for fault in self.script["faults"] if fault["fault"] == kind]

    def every(self, seconds: float, least_s: float) -> str:
        return f"{max(seconds * self.scale, least_s):.3f}s"


def hour(length_s: float | None = None) -> Hour:
    """Read the hour; without a length it is the full one."""
    document = msgspec.yaml.decode(SCRIPT.read_bytes())
    scale = 1.0 if length_s is None else length_s / document["full_s"]
    script = document["script"]
    script["faults"] = [_scaled(fault, scale) for fault in script["faults"]]
    restarts = [_scaled(one, scale) for one in document["restarts"]]
    return Hour(script, restarts, document["full_s"] * scale, scale)


def _scaled(declared: Mapping[str, Any], scale: float) -> dict[str, Any]:
    times = {name: declared[name] * scale for name in ("at_s", "for_s") if name in declared}
    return {**declared, **times}


@dataclass
class Played:
    """What is left of an hour: what the servers say, and all that its processes wrote."""

    truth: Truth
    codes: list[tuple[str, int]] = field(default_factory=list)
    texts: dict[str, bytes] = field(default_factory=dict)


class Player:
    """Plays an hour in a folder of its own against the Kafka that an environment leads to."""

    def __init__(self, declared: Hour, folder: Path, kafka: Mapping[str, str]) -> None:
        self._hour = declared
        self._folder = folder
        self._logs = folder / "logs"
        self._reports = folder / "reports"
        self._environment = {
            **os.environ, **kafka, **_SETTINGS, **declared.keys, **declared.watchdog,
        }  # fmt: skip
        self._environment["TAPEHOUSE_STATE_DIR"] = str(folder / "state")
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._started = 0
        self._ended: list[Ended] = []
        self._codes: list[tuple[str, int]] = []
        self._stack = ExitStack()

    def play(self) -> Played:
        """Play the hour to its end.

        Raises:
            StackError: the servers do not start, or a producer ends by itself or does not end.
        """
        self._logs.mkdir(parents=True)
        self._reports.mkdir()
        with self._stack:
            self._stack.callback(self._kill_all)
            control = self._serve()
            began = time.time()
            for name in self._commands():
                self._start(name)
            self._act(began)
            for name in list(self._commands()):
                self._end(name, signal.SIGTERM)
            truth = self._truth(control)
        return Played(truth, self._codes, dict(self._texts()))

    def _act(self, began: float) -> None:
        for restart in self._hour.restarts:
            self._wait(began + restart["at_s"])
            name, by = restart["of"], restart["by"]
            self._ended.append(Ended(name, by, time.time()))
            self._end(name, signal.Signals[f"SIG{by}"])
            self._start(name)
        self._wait(began + self._hour.length_s)

    def _wait(self, until: float) -> None:
        while (left := until - time.time()) > 0:
            for name, process in self._running.items():
                if process.poll() is not None:
                    raise StackError(f"{name} ended by itself with {process.returncode}")
            time.sleep(min(left, 0.1))

    def _commands(self) -> dict[str, list[str]]:
        symbols = [word for symbol in SYMBOLS for word in ("--symbol", symbol)]
        bars = ["bars", "--start", DAYS[0], "--end", DAYS[1], "--every", self._hour.every(12, 3)]
        return {
            "bars": [*bars, *symbols],
            "quotes": ["quotes", "--every", self._hour.every(4, 2), *symbols],
            "trades": ["finnhub", "--kind", "trades", *symbols],
        }

    def _start(self, name: str) -> None:
        environment = dict(self._environment)
        if name == "trades":
            # The session clock that tells a mute socket: whenever this runs, it is open.
            environment["TAPEHOUSE_CALENDAR"] = "24/7"
        report = self._reports / f"{self._started + 1:02}-{name}.json"
        words = ["produce", *self._commands()[name], "--report", str(report)]
        self._running[name] = self._process(name, words, environment, None)

    def _end(self, name: str, by: signal.Signals) -> None:
        process = self._running.pop(name)
        process.send_signal(by)
        try:
            code = process.wait(_END_S)
        except subprocess.TimeoutExpired:
            raise StackError(f"{name} did not end within {_END_S:.0f} s of {by.name}") from None
        self._codes.append((f"{name} {by.name}", code))

    def _serve(self) -> str:
        """Start the servers; return the address of their control endpoint."""
        lines = [
            json.dumps({"name": str(number), "body_b64": base64.b64encode(frame).decode()})
            for number, frame in enumerate(_FRAMES)
        ]
        (self._folder / "frames.jsonl").write_text("\n".join(lines) + "\n")
        script = self._folder / "script.yml"
        script.write_bytes(msgspec.yaml.encode(self._hour.script))
        words = ["fakes", "--port-base", "0", "--script", str(script), "--served-at", SERVED_AT]
        words += ["--speed", str(self._hour.speed)]
        process = self._process("servers", words, self._environment, subprocess.PIPE)
        self._running["servers"] = process
        if process.stdout is None:
            raise StackError("expected the servers' standard output, found none")
        for line in process.stdout:
            text = line.decode().strip()
            if text.startswith("# control: "):
                return text.removeprefix("# control: ")
            name, _, url = text.partition("=")
            self._environment[name] = url
        raise StackError(f"the local providers did not start: {self._log('servers')}")

    def _process(
        self, name: str, words: Sequence[str], environment: Mapping[str, str], output: int | None
    ) -> subprocess.Popen[bytes]:
        self._started += 1
        log = self._opened(f"{self._started:02}-{name}.log")
        line = [sys.executable, "-m", "ingestion", *words]
        return subprocess.Popen(
            line, cwd=ROOT, env=environment, stdout=output or log, stderr=log,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def _opened(self, name: str) -> IO[bytes]:
        return self._stack.enter_context((self._logs / name).open("wb"))

    def _log(self, name: str) -> str:
        return "\n".join(path.read_text() for path in self._logs.glob(f"*-{name}.log"))

    def _kill_all(self) -> None:
        for process in self._running.values():
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()

    def _truth(self, control: str) -> Truth:
        said = {
            name: _said(control, name)
            for name in ("observations", "requests", "violations", "disturbances", "counts")
        }
        since = time.time() - float(said["counts"]["elapsed_s"])
        return Truth(
            **said,
            days=DAYS,
            speed=self._hour.speed,
            limits=self._hour.script["limits"],
            dead=self._windows("dead", since),
            mute=self._windows("mute", since),
            mute_told=self._mute_told(),
            ended=self._ended,
            secrets=list(self._hour.keys.values()),
            # A producer that waits for its turn when the port opens has not asked yet.
            grace_s=_OPEN_S + 6.0,
        )

    def _windows(self, kind: str, since: float) -> list[Window]:
        return [
            Window(one["provider"], since + one["at_s"], since + one["at_s"] + one["for_s"])
            for one in self._hour.faults(kind)
        ]

    def _mute_told(self) -> int:
        """Return how many mute connections the reports tell of; who was killed left none."""
        reports = self._reports.glob("*-trades.json")
        return sum(json.loads(path.read_bytes())["mute_connections"] for path in reports)

    def _texts(self) -> Iterator[tuple[str, bytes]]:
        for folder in (self._logs, self._reports, self._folder / "state"):
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    yield str(path.relative_to(self._folder)), path.read_bytes()


def _said(control: str, name: str) -> Any:  # noqa: ANN401 - JSON
    with urllib.request.urlopen(f"{control}/{name}", timeout=_START_S) as answer:  # noqa: S310
        return decoded(answer.read())
