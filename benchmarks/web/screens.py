"""Twenty users of one server while gold is published: no failed read, no screen of two builds.

A user asks by HTTP what the browser asks when something is chosen: the body of that request is
taken from a browser, and symbol and range are put in. How soon an open page shows a build is
measured in the browser, with the page's own refresh of every minute switched off.
"""

import json
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.request import Request, urlopen

from playwright.sync_api import Browser, Page

from benchmarks.web.site import Copies, build_id

USERS: Final = 20
SEEN_WITHIN_S: Final = 10.0
_RANGES: Final = ("1D", "1M", "1Y", "MAX")
# Nothing between two publishes but this: as often as no platform publishes.
_PUBLISH_EVERY_S: Final = 0.5
_SCREEN: Final = '"kpis"'
_PATH: Final = "/_dash-update-component"
_HEADERS: Final = {"Content-Type": "application/json"}

Row = dict[str, Any]


@dataclass
class _Reads:
    """What users saw: seconds of each screen, errors, builds, and screens of two builds."""

    seconds: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    builds: set[str] = field(default_factory=set)
    mixed: list[str] = field(default_factory=list)


def rows(browser: Browser, url: str, copies: Copies, seconds: float, publishes: int) -> list[Row]:
    """Return what users saw during publishes, and how soon an open page saw each of some."""
    page = browser.new_page()
    body = _asked(page, url)
    seen = [_seen(page, copies) for _ in range(publishes)]
    page.close()
    slowest = max(seen)
    return [
        _used(url, body, copies, seconds),
        {"what": "published to seen by an open page", "seconds": seen,
         "aim": f"{SEEN_WITHIN_S:g} s: {'met' if slowest <= SEEN_WITHIN_S else 'missed'}"},
    ]  # fmt: skip


def _asked(page: Page, url: str) -> dict[str, Any]:
    """Return the request for a screen that a browser makes when a range is chosen."""
    page.goto(url)
    page.wait_for_function("document.querySelector('#shown')?.dataset.shownBuild")
    page.evaluate("dash_clientside.set_props('refresh', {disabled: true})")
    with page.expect_request(
        lambda one: _PATH in one.url and _SCREEN in (one.post_data or "")
    ) as request:
        page.get_by_text("1Y", exact=True).click()
    body: dict[str, Any] = json.loads(request.value.post_data or "")
    # Who has nothing yet is told all of a screen, and not only what has changed.
    return {**body, "state": [{**one, "value": None} for one in body["state"]]}


def _seen(page: Page, copies: Copies) -> float:
    build = copies.publish()
    began = time.monotonic()
    page.wait_for_selector(f"#shown[data-shown-build='{build}']", state="attached")
    return time.monotonic() - began


def _used(url: str, body: dict[str, Any], copies: Copies, seconds: float) -> Row:
    reads, stop, first = _Reads(), threading.Event(), copies.number
    symbols = [one["value"] for one in _answer(url, body)["response"]["symbol"]["data"]]
    with ThreadPoolExecutor(USERS + 1) as pool:
        users = [
            pool.submit(_use, url, body, symbols, number, reads, stop) for number in range(USERS)
        ]
        publisher = pool.submit(copies.publish_often, _PUBLISH_EVERY_S, stop)
        time.sleep(seconds)
        stop.set()
        for one in (*users, publisher):
            one.result()
    return {
        "what": f"{USERS} users for {seconds:.0f} s during {copies.number - first} publishes",
        "screens": len(reads.seconds),
        "median_s": statistics.median(reads.seconds),
        "p95_s": statistics.quantiles(reads.seconds, n=20)[-1],
        "builds_seen": len(reads.builds),
        "failed": len(reads.failed),
        "of_two_builds": len(reads.mixed),
        "errors": [*reads.failed[:5], *reads.mixed[:5]],
    }


def _use(
    url: str,
    body: dict[str, Any],
    symbols: list[str],
    number: int,
    reads: _Reads,
    stop: threading.Event,
) -> None:
    turn = number
    while not stop.is_set():
        asked = _asking(body, symbols[turn % len(symbols)], _RANGES[turn % len(_RANGES)])
        began = time.monotonic()
        try:
            screen = _answer(url, asked)["response"]
        except (OSError, ValueError, KeyError) as error:  # every failure counts, and is reported
            reads.failed.append(f"{type(error).__name__}: {error}")
        else:
            reads.seconds.append(time.monotonic() - began)
            _judge(screen, reads)
        turn += 1


def _asking(body: dict[str, Any], symbol: str, wanted: str) -> dict[str, Any]:
    chosen = {"symbol": symbol, "range": wanted}
    inputs = [{**one, "value": chosen.get(one["id"], one.get("value"))} for one in body["inputs"]]
    return {**body, "inputs": inputs}


def _answer(url: str, body: dict[str, Any]) -> dict[str, Any]:
    request = Request(f"{url}{_PATH}", json.dumps(body).encode(), _HEADERS)  # noqa: S310 - our own
    with urlopen(request, timeout=60) as answer:  # noqa: S310 - as above
        found: dict[str, Any] = json.load(answer)
        return found


def _judge(screen: dict[str, Any], reads: _Reads) -> None:
    """Count a screen by its build; it has to say the same number everywhere."""
    build = screen["shown"]["data-shown-build"]
    reads.builds.add(build)
    prices = {float(one["close"]) for one in screen["movers"]["rowData"]}
    prices |= set(_values(screen["kpis"]["children"], "current_price"))
    if {build_id(int(price)) for price in prices} != {build}:
        reads.mixed.append(f"{build} with the prices {sorted(prices)}")


def _values(part: Any, name: str) -> list[float]:  # noqa: ANN401 - components as JSON
    """Return a figure wherever it is shown below a component."""
    if isinstance(part, list):
        return [value for one in part for value in _values(one, name)]
    if not isinstance(part, dict):
        return []
    props = part.get("props", {})
    own = [float(props["data-value"])] if props.get("data-kpi") == name else []
    return own + _values(props.get("children"), name)
