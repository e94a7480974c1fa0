"""The servers' own endpoint: what they counted, what they handed out, faults added on the way."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ingestion.clock import rfc3339
from ingestion.errors import SettingsError
from ingestion.fakes import script
from ingestion.fakes.desk import House

_Endpoint = Callable[[Request], Awaitable[Response]]


class _Moment(msgspec.Struct, forbid_unknown_fields=True):
    at: datetime | None = None
    speed: float | None = None


def application(house: House) -> Starlette:
    """Return the control endpoint of a set of servers."""
    control = _Control(house)
    return Starlette(
        routes=[
            Route("/_control/state", control.state),
            Route("/_control/counts", control.counts),
            Route("/_control/requests", control.requests),
            Route("/_control/violations", control.violations),
            Route("/_control/observations", control.observations),
            Route("/_control/disturbances", control.disturbances),
            Route("/_control/instruments", control.instruments),
            Route("/_control/clock", control.clock, methods=["POST"]),
            Route("/_control/faults", control.faults, methods=["POST", "DELETE"]),
            Route("/_control/reset", control.reset, methods=["POST"]),
        ]
    )


class _Control:
    def __init__(self, house: House) -> None:
        self._house = house

    async def state(self, request: Request) -> Response:
        market = self._house.market
        now = market.clock.now()
        return _json(
            {
                "now": rfc3339(now),
                "speed": market.clock.speed,
                "session_open": market.session_open(now) is not None,
                "shift_sessions": market.shift,
                "symbols": len(market.series),
            }
        )

    async def counts(self, request: Request) -> Response:
        return _json(self._house.record.counts())

    async def requests(self, request: Request) -> Response:
        return _json(list(self._house.record.requests))

    async def violations(self, request: Request) -> Response:
        return _json(self._house.record.violations)

    async def observations(self, request: Request) -> Response:
        query = request.query_params
        return _json(self._house.record.observations(query.get("provider"), query.get("kind")))

    async def disturbances(self, request: Request) -> Response:
        return _json(list(self._house.record.disturbances))

    async def instruments(self, request: Request) -> Response:
        return _json(
            [
                {
                    "symbol": one.symbol,
                    "made_of": one.made_of,
                    "recorded": one.recorded,
                    "bars": len(one.bars),
                }
                for one in self._house.market.series.values()
            ]
        )

    async def clock(self, request: Request) -> Response:
        try:
            wanted = msgspec.json.decode(await request.body(), type=_Moment)
        except msgspec.MsgspecError as error:
            return _json({"error": str(error)}, 400)
        clock = self._house.market.clock
        clock.set(wanted.at or clock.now(), wanted.speed)
        return await self.state(request)

    async def faults(self, request: Request) -> Response:
        if request.method == "DELETE":
            self._house.faults.clear()
            return _json({})
        try:
            self._house.faults.add(script.fault(msgspec.json.decode(await request.body())))
        except (SettingsError, msgspec.DecodeError) as error:
            return _json({"error": str(error)}, 400)
        return _json({})

    async def reset(self, request: Request) -> Response:
        self._house.record.reset()
        return _json({})


def _json(document: Any, status: int = 200) -> Response:  # noqa: ANN401 - JSON
    return Response(msgspec.json.encode(document), status, media_type="application/json")
