"""The REST side: checks in the documented order, one envelope for everything."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count

from aiohttp import web

from trading_system.simulation.bybit_server.credentials import (
    CREDENTIAL_HEADERS,
    check_permission,
    has_credentials,
    identify,
)
from trading_system.simulation.bybit_server.envelope import answer, limit_headers
from trading_system.simulation.bybit_server.limits import (
    ADDRESS_LIMIT,
    ADDRESS_SILENCE_MS,
    ADDRESS_WINDOW_MS,
    Admission,
    RequestLimits,
)
from trading_system.simulation.bybit_server.options import ServerOptions
from trading_system.simulation.bybit_server.order_desk import (
    BATCHES,
    TOO_MANY,
    TOO_MANY_TEXT,
    OrderDesk,
    Outcome,
)
from trading_system.simulation.bybit_server.parameters import (
    DetailedReject,
    Fields,
    bad,
    decode_object,
    parse_query,
)
from trading_system.simulation.bybit_server.request_faults import (
    DROPS,
    INJECTED_CODES,
    PAGES,
    injected,
    page,
    performer,
    strike_rest,
)
from trading_system.simulation.bybit_server.routes import (
    OrderRoute,
    PublicRoute,
    Route,
    SignedRoute,
)
from trading_system.simulation.faults.engine import FaultEngine
from trading_system.simulation.faults.names import Fault
from trading_system.simulation.faults.rules import FaultRule, Stage
from trading_system.simulation.records import AccountSpec, VenueReject

_LOGGER = logging.getLogger(__name__)
_NO_ROUTE = "Route not found: this venue does not serve this path."
_NO_CREDENTIALS = f"Missing auth headers: {', '.join(CREDENTIAL_HEADERS)} are required."
_TOO_FREQUENT = (
    f"Access too frequent: at most {ADDRESS_LIMIT} requests in {ADDRESS_WINDOW_MS // 1000} s per "
    f"address, send nothing for {ADDRESS_SILENCE_MS // 60_000} minutes."
)


@dataclass(frozen=True, slots=True)
class _Arrival:
    # A request that passed the checks of HTTP; ``payload`` is its body or raw query.
    request: web.BaseRequest
    route: Route
    query: str
    payload: bytes
    address: Admission


class RestGateway:
    """Turns HTTP requests into answers.

    Parameters
    ----------
    routes : mapping
        Path to route.
    accounts : mapping
        API key to account.
    now_ms : callable
        The time the venue tells and checks stamps against.
    market_ms : callable
        The time at which orders act.
    faults : FaultEngine
        Strikes requests that passed the checks of HTTP.
    """

    def __init__(
        self,
        routes: Mapping[str, Route],
        *,
        desk: OrderDesk,
        limits: RequestLimits,
        accounts: Mapping[str, AccountSpec],
        options: ServerOptions,
        now_ms: Callable[[], int],
        market_ms: Callable[[], int],
        faults: FaultEngine,
    ) -> None:
        self._routes = routes
        self._desk = desk
        self._limits = limits
        self._accounts = accounts
        self._options = options
        self._now_ms = now_ms
        self._market_ms = market_ms
        self._faults = faults
        self._traces = count(1)

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """Answer one request; nothing a client sends raises."""
        path, _, query = request.raw_path.partition("?")
        route = self._routes.get(path)
        address = self._limits.take_address(request.remote or "", now_ms=self._market_ms())
        if route is None:
            outcome = Outcome(code=10017, message=_NO_ROUTE, admission=address)
            return self._response(outcome, status=404)
        if request.method != route.method:
            message = f"Method not allowed, use {route.method}."
            outcome = Outcome(code=10001, message=message, admission=address)
            return self._response(outcome, status=400)
        if not address.admitted or (request.method == "GET" and request.can_read_body):
            message = "GET requests must not have a body." if address.admitted else _TOO_FREQUENT
            outcome = Outcome(code=10018, message=message, admission=address)
            return self._response(outcome, status=403)
        if (request.content_length or 0) > self._options.max_body_bytes:
            return self._too_large(address)
        if isinstance(route, SignedRoute | OrderRoute) and not has_credentials(request.headers):
            outcome = Outcome(code=10007, message=_NO_CREDENTIALS, admission=address)
            return self._response(outcome, status=401)
        if route.method == "GET":
            payload: bytes | None = query.encode("utf-8", "surrogateescape")
        else:
            payload = await self._body(request)
        if payload is None:
            return self._too_large(address)
        arrival = _Arrival(request, route, query, payload, address)
        rule = strike_rest(self._faults, path, query, payload)
        if rule is None:
            return self._response(self._outcome(arrival))
        return await self._struck(rule, arrival)

    def restarting(self) -> web.Response:
        """Answer 10016 to whatever was asked."""
        idle = Admission(limit=0, remaining=0, reset_ms=self._market_ms(), admitted=0)
        rule = FaultRule(fault=Fault.CODE_10016)
        return self._response(injected(rule, now_ms=self._market_ms(), admission=idle))

    async def _struck(self, rule: FaultRule, arrival: _Arrival) -> web.Response:
        wait_s = (rule.delay_ms or 0.0) / 1000
        if rule.fault is Fault.DELAY and rule.stage is Stage.REQUEST:
            await asyncio.sleep(wait_s)
            return self._response(self._outcome(arrival))
        answer = self._response(self._outcome(arrival, rule)) if rule.acts else None
        await asyncio.sleep(wait_s)
        if rule.fault in DROPS:
            transport = arrival.request.transport
            if transport is not None:
                transport.abort()
            return web.Response()
        if rule.fault in INJECTED_CODES:
            outcome = injected(rule, now_ms=self._market_ms(), admission=arrival.address)
            return self._response(outcome)
        if answer is not None and rule.fault not in PAGES:
            return answer
        return page(rule)

    def _outcome(self, arrival: _Arrival, rule: FaultRule | None = None) -> Outcome:
        request, route, payload = arrival.request, arrival.route, arrival.payload
        address = arrival.address
        now_ms = self._now_ms()
        admission = address
        try:
            if isinstance(route, PublicRoute):
                result = route.answer(Fields(parse_query(arrival.query)), now_ms)
                return Outcome(code=0, message="OK", admission=address, result=result)
            account = identify(
                request.headers,
                payload,
                self._accounts,
                now_ms=now_ms,
                address=request.remote or "",
            )
            if route.method == "POST":
                check_permission(account)
            if isinstance(route, OrderRoute):
                run = performer(self._desk, rule)
                return run(
                    route.operation,
                    account,
                    read=lambda: self._order_fields(route.operation, payload),
                    now_ms=self._market_ms(),
                )
            admission = self._limits.take_account(
                account, route.operation, count=1, now_ms=self._market_ms()
            )
            if not admission.admitted:
                return Outcome(code=TOO_MANY, message=TOO_MANY_TEXT, admission=admission)
            values: Mapping[str, object] = (
                parse_query(arrival.query) if route.method == "GET" else decode_object(payload)
            )
            result = route.answer(account, Fields(values), now_ms)
        except VenueReject as e:
            payload_of = e.result if isinstance(e, DetailedReject) else {}
            return Outcome(code=e.code, message=e.message, admission=admission, result=payload_of)
        except Exception:  # The boundary to untrusted clients: a bug here must not end the venue.
            _LOGGER.exception("request to %s failed", request.path)
            return Outcome(code=10016, message="Internal error.", admission=admission)
        return Outcome(code=0, message="OK", admission=admission, result=result)

    def _order_fields(self, operation: str, payload: bytes) -> Fields:
        fields = Fields(decode_object(payload))
        is_demo = self._options.profile == "demo"
        if is_demo and operation in BATCHES and fields.category() != "linear":
            raise bad("batches on demo need category linear")
        return fields

    def _too_large(self, address: Admission) -> web.Response:
        message = f"Request body too large: at most {self._options.max_body_bytes} bytes."
        outcome = Outcome(code=10001, message=message, admission=address)
        return self._response(outcome, status=413)

    async def _body(self, request: web.BaseRequest) -> bytes | None:
        # None when a body of undeclared length is larger than allowed.
        highest = self._options.max_body_bytes
        body = bytearray()
        async with asyncio.timeout(self._options.body_timeout_s):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > highest:
                    return None
        return bytes(body)

    def _response(self, outcome: Outcome, *, status: int = 200) -> web.Response:
        now_ms = self._now_ms()
        admission = outcome.admission
        headers = limit_headers(admission, now_ms=now_ms, trace=f"t{next(self._traces):x}")
        headers["Ret_code"] = str(outcome.code)
        response = web.Response(
            body=answer(
                outcome.result,
                now_ms=now_ms,
                code=outcome.code,
                message=outcome.message,
                extra=outcome.extra,
            ),
            status=status,
            headers=headers,
            content_type="application/json",
            charset="utf-8",
        )
        if status == 413:
            response.force_close()
        return response
