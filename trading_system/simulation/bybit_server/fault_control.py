"""The control port: arm, clear, list and count faults while the venue runs."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import msgspec
from aiohttp import web

from trading_system.domain.errors import ConfigurationError
from trading_system.simulation.faults.engine import ArmedRule, FaultEngine
from trading_system.simulation.faults.schedule import MAX_BYTES, parse_schedule

_HOST = "127.0.0.1"
_NAMES = frozenset({_HOST, "localhost"})
_JSON = frozenset({"application/json", "application/x-ndjson"})
_encode = msgspec.json.Encoder().encode


class FaultControl:
    """Serves a fault engine on a loopback port of its own while its ``async with`` block runs.

    ``GET /faults`` lists the rules, ``POST /faults`` arms a schedule, ``DELETE /faults`` and
    ``DELETE /faults/NUMBER`` clear, ``GET /counts`` answers the strikes by fault. A web page
    cannot use it: the host must be loopback by name, and rules must come as JSON.
    """

    def __init__(self, engine: FaultEngine) -> None:
        self._engine = engine
        self._port = 0
        app = web.Application(client_max_size=MAX_BYTES)
        app.add_routes(
            [
                web.get("/faults", self._list),
                web.post("/faults", self._arm),
                web.delete("/faults", self._clear),
                web.delete(r"/faults/{number:\d{1,9}}", self._clear),
                web.get("/counts", self._count),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)

    @property
    def url(self) -> str:
        """Address of the port, for example ``http://127.0.0.1:41094``."""
        return f"http://{_HOST}:{self._port}"

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, _HOST, 0).start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._runner.cleanup()

    async def _list(self, request: web.Request) -> web.Response:
        _check_host(request)
        return _answer({"faults": [_row(armed) for armed in self._engine.armed()]})

    async def _arm(self, request: web.Request) -> web.Response:
        _check_host(request)
        if request.content_type not in _JSON:
            return _refusal("send the rules as content type application/json", status=415)
        try:
            text = (await request.read()).decode()
            numbers = self._engine.arm(parse_schedule(text, source="request"))
        except UnicodeDecodeError:
            return _refusal("the rules are not UTF-8 text")
        except ConfigurationError as e:
            return _refusal(str(e))
        return _answer({"armed": numbers})

    async def _clear(self, request: web.Request) -> web.Response:
        _check_host(request)
        text = request.match_info.get("number")
        cleared = self._engine.clear(None if text is None else int(text))
        if text is not None and not cleared:
            return _refusal(f"there is no rule {text}", status=404)
        return _answer({"cleared": cleared})

    async def _count(self, request: web.Request) -> web.Response:
        _check_host(request)
        return _answer({"counts": self._engine.counts()})


def _check_host(request: web.Request) -> None:
    # A name that a web page rebound to this address is not ours.
    if request.host.rpartition(":")[0] not in _NAMES:
        raise web.HTTPMisdirectedRequest


def _row(armed: ArmedRule) -> dict[str, Any]:
    rule = {name: value for name, value in msgspec.to_builtins(armed.rule).items() if value != ""}
    return {
        "number": armed.number,
        "met": armed.met,
        "struck": armed.struck,
        "is_spent": armed.is_spent,
        "rule": rule,
    }


def _answer(body: dict[str, Any], *, status: int = 200) -> web.Response:
    return web.Response(body=_encode(body), status=status, content_type="application/json")


def _refusal(reason: str, *, status: int = 400) -> web.Response:
    return _answer({"error": reason}, status=status)
