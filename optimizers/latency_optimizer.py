"""The latency optimizer of guide 5: warm connections, priorities, figures, a benchmark.

Orders do not pass here: :meth:`LatencyOptimizer.optimize_order_placement` hands them to the client,
whose risk gate they cannot avoid, and a request that could change an order, a position or an
account is refused.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType
from typing import Any, Self

import structlog

from optimizers.latency.connections import connection_figures, queue_status
from optimizers.latency.courier import RETRY, Courier, failure
from optimizers.latency.figures import LatencyFigures, Targets, split
from optimizers.latency.guard import Call, checked_call, checked_timeout
from optimizers.latency.measuring import checked_iterations, run_benchmark
from optimizers.latency.placement import place
from optimizers.latency.tickers import Tickers
from optimizers.transport.pool import PooledTransport, WarmConnection
from optimizers.transport.queue import checked_priority
from trading_system.config.sections import OptimizationSettings
from trading_system.domain.errors import (
    LifecycleError,
    OrderDenied,
    TradingSystemError,
    ValidationError,
)
from trading_system.domain.ports import Clock, VenueClient
from trading_system.runtime.backoff import Backoff
from trading_system.runtime.clock import SystemClock

_LOG = structlog.get_logger(__name__)
_UNREADY_URL = "http://client.invalid"
_TICKERS_PATH = "/v5/market/tickers"
_TICKER_TIMEOUT_S = 2.0
_READ_PRIORITY = 3


class LatencyOptimizer:
    """Fast requests to the venue of ``client`` and to other hosts.

    Parameters
    ----------
    client : VenueClient
        The gated client; gives the venue's address, signatures and order entry.
    transport : PooledTransport or None
        Open pool that others use too; None opens one on first use and closes it in
        :meth:`cleanup`.
    settings : OptimizationSettings or None
        ``connection_pool_size``, ``priority_queue_size``, and ``request_timeout_s`` as the upper
        bound of every request's deadline.
    clock : Clock or None
        None uses the machine's clocks.
    retry : Backoff
        How often and when a GET is sent again after a broken connection, HTTP 408, 429 or 5xx, or
        rate limit 10006. A POST is sent once, always.
    rng : random.Random or None
        Jitter of the retries.

    Attributes
    ----------
    max_sessions : int
        Connections kept; read when the pool is opened, as the next two.
    priority_queue_size : int
        Requests that may wait for a connection.
    connection_keepalive : bool
        Whether connections are kept open between requests.
    target_connection_ms, target_response_ms, target_total_ms : float
        What the figures and the recommendations are compared with.
    last_order_failure : dict or None
        Why the last :meth:`optimize_order_placement` returned an empty dict, None if it did not.
    connection_reports : tuple[WarmConnection, ...]
        What the last :meth:`pre_warm_connections` found.
    """

    def __init__(
        self,
        client: VenueClient,
        *,
        transport: PooledTransport | None = None,
        settings: OptimizationSettings | None = None,
        clock: Clock | None = None,
        retry: Backoff = RETRY,
        rng: random.Random | None = None,
    ) -> None:
        settings = settings or OptimizationSettings()
        self._client = client
        self._clock = clock or SystemClock()
        self._transport = transport
        self._request_timeout_s = settings.request_timeout_s
        self._figures = LatencyFigures()
        self._courier = Courier(
            client,
            figures=self._figures,
            clock=self._clock,
            backoff=retry,
            rng=rng or random.Random(),
        )
        self._tickers = Tickers(self._read_ticker, clock=self._clock)
        self._owned = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._is_ready = False
        self._is_closed = False
        self._denied = 0
        self.max_sessions = transport.connections if transport else settings.connection_pool_size
        self.priority_queue_size = settings.priority_queue_size
        self.connection_keepalive = True
        targets = Targets()
        self.target_connection_ms = targets.connection_ms
        self.target_response_ms = targets.response_ms
        self.target_total_ms = targets.total_ms
        self.last_order_failure: dict[str, Any] | None = None
        self.connection_reports: tuple[WarmConnection, ...] = ()

    async def __aenter__(self) -> Self:
        await self._opened()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.cleanup()

    async def pre_warm_connections(self) -> None:
        """Open all connections to the venue at once and prove each with a request.

        The result is in ``connection_reports``. From then on they are kept warm.

        Raises
        ------
        TradingSystemError
            If the client cannot get ready, or after :meth:`cleanup`.
        """
        transport = await self._opened()
        self.connection_reports = await transport.pre_warm(self._client.rest_url)

    async def execute_priority_request(  # noqa: PLR0917 - the users' guides fix the signature
        self,
        method: str,
        url: str,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        priority: int = 1,
        timeout: float = 5.0,  # noqa: ASYNC109 - the users' guides fix the name
    ) -> Any:  # noqa: ANN401 - whatever the JSON holds
        """Send one request and return the decoded JSON of its answer.

        Parameters
        ----------
        method : str
            GET or POST.
        url : str
            Absolute, or a path on the client's host. Private V5 paths of that host are signed
            unless authentication headers are given.
        params : Mapping[str, Any] or None
            Query of a GET, JSON body of a POST.
        priority : int
            1 (highest) to 4 (lowest).
        timeout : float
            Deadline from this call on, seconds: queue, retries and waits included.

        Returns
        -------
        Any
            The decoded JSON. A request that failed or was refused gives a dict with ``error``,
            ``text`` (what the host answered), ``outcome`` (``not_sent``, ``rejected`` or
            ``unknown``) and ``status``.

        Raises
        ------
        ValidationError
            If an argument is wrong.
        """
        checked_priority(priority)
        timeout_s = min(checked_timeout(timeout), self._request_timeout_s)
        prepare = partial(checked_call, method, url, params=params, headers=headers)
        call = prepare(base_url=_UNREADY_URL)
        if call.is_denied:
            self._denied += 1
            return _denied(call)
        try:
            transport = await self._opened()
            if url.startswith("/"):
                call = prepare(base_url=self._client.rest_url)
        except TradingSystemError as e:
            return failure(f"{type(e).__name__}: {e}")
        delivery = await self._courier.deliver(
            transport, call, priority=priority, timeout_s=timeout_s
        )
        return delivery.value

    async def execute_batch_requests(
        self, requests_list: Sequence[Mapping[str, Any]], priority: int = 3
    ) -> list[Any]:
        """Send requests concurrently and return their results in the order given.

        Each item has the keys ``method``, ``url`` and optionally ``params``, ``headers`` and
        ``timeout``. An item that fails, also by its own mistake, gives a dict with ``error`` and
        ``text``; the others are not touched. At most twice as many items as there are
        connections are handed over at once, so that a long batch does not fill the queue.

        Raises
        ------
        ValidationError
            If ``priority`` is wrong.
        """
        checked_priority(priority)
        results: list[Any] = [None] * len(requests_list)
        items = iter(enumerate(requests_list))

        async def work() -> None:
            for index, item in items:
                results[index] = await self._batch_item(item, priority)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(len(requests_list), 2 * self.max_sessions)):
                group.create_task(work())
        return results

    async def optimize_market_data_request(self, symbol: str) -> dict[str, Any]:
        """Return the venue's ticker of a linear contract, at most one second old.

        Callers at the same time share one request. A failure gives a dict with ``error`` and
        ``text`` and is not remembered.

        Raises
        ------
        ValidationError
            If ``symbol`` is no symbol.
        """
        return await self._tickers.get(symbol)

    async def optimize_order_placement(  # noqa: PLR0917 - the users' guides fix the signature
        self,
        symbol: str,
        side: str,
        quantity: Any,  # noqa: ANN401 - text or any number, judged by the client
        order_type: str = "Market",
        price: Any = None,  # noqa: ANN401 - text or any number, judged by the client
        reduce_only: bool = False,  # noqa: FBT001, FBT002 - the users' guides fix the signature
        close_on_trigger: bool = False,  # noqa: FBT001, FBT002 - the users' guides fix the signature
        take_profit: Any = None,  # noqa: ANN401 - text or any number, judged by the client
        stop_loss: Any = None,  # noqa: ANN401 - text or any number, judged by the client
    ) -> dict[str, Any]:
        """Place one order through the client and its risk gate within 2 seconds.

        Returns
        -------
        dict
            The client's result. Empty if the order was denied, rejected, or its fate is not known
            yet: ``last_order_failure`` then holds ``error``, ``reason`` and ``outcome``; an
            ``unknown`` order is looked up by the client and must not be sent again.

        Raises
        ------
        ValidationError
            If the client refuses an argument.
        """
        parameters = {
            "quantity": quantity,
            "order_type": order_type,
            "price": price,
            "reduce_only": reduce_only,
            "close_on_trigger": close_on_trigger,
            "take_profit": take_profit,
            "stop_loss": stop_loss,
        }
        result, self.last_order_failure = await place(self._client, symbol, side, parameters)
        return result

    def get_latency_metrics(self) -> dict[str, Any]:
        """Return all figures: over the newest 500 answered requests unless stated otherwise.

        Every key is always present; figures without data are None and ``status`` says so.
        """
        transport, cache = self._transport, self._tickers.statistics
        connects_ms = transport.connect_ms if transport else ()
        return {
            **self._figures.metrics(self._targets(), connects_ms=connects_ms),
            "split": split(self._figures.samples, connects_ms=connects_ms),
            "denied_requests": self._denied,
            "shared_requests": self._courier.shared,
            "ticker_cache": {
                "hits": cache.hits,
                "misses": cache.misses,
                "shared": cache.shared,
                "hit_rate": cache.hit_rate,
                "size": cache.size,
            },
            "connections": connection_figures(transport),
            "queue_status": queue_status(transport),
        }

    async def benchmark_performance(self, iterations: int = 100) -> dict[str, Any]:
        """Measure the way to the venue: sequential requests at priority 1 on warm connections.

        Caches and retries are bypassed, warm-up requests are not counted, errors are counted
        apart. Above 300 iterations one request is sent per 10 ms, which stays inside the venue's
        limit per address. It ends early after five errors in a row.

        Returns
        -------
        dict
            ``iterations_completed``, ``errors``, ``warm_up``, ``latency_stats``, ``split`` (queue,
            connect, send and response), ``performance_grade`` by the 95th percentile,
            ``recommendations``. Figures without a single answer are None.

        Raises
        ------
        ValidationError
            If ``iterations`` is not 1 to 10,000.
        TradingSystemError
            If the client cannot get ready, or after :meth:`cleanup`.
        """
        checked_iterations(iterations)
        transport = await self._opened()
        return await run_benchmark(
            transport,
            self._courier,
            self._client.rest_url,
            iterations=iterations,
            targets=self._targets(),
            is_kept_alive=self.connection_keepalive,
        )

    async def cleanup(self) -> None:
        """Close the own pool; idempotent. A pool given by the caller is left open."""
        self._is_closed = True
        async with self._opening:
            await self._owned.aclose()

    close = cleanup

    async def _opened(self) -> PooledTransport:
        if self._is_closed:
            raise LifecycleError("the latency optimizer was cleaned up; make a new one")
        if self._transport is not None and self._is_ready:
            return self._transport
        async with self._opening:
            if not self._is_ready:
                await self._client.ensure_ready()
            if self._transport is None:
                pool = PooledTransport(
                    connections=self.max_sessions,
                    queue_size=self.priority_queue_size,
                    keep_alive=self.connection_keepalive,
                    clock=self._clock,
                )
                self._transport = await self._owned.enter_async_context(pool)
            self._is_ready = True
            return self._transport

    def _targets(self) -> Targets:
        return Targets(
            connection_ms=self.target_connection_ms,
            response_ms=self.target_response_ms,
            total_ms=self.target_total_ms,
        )

    async def _batch_item(self, item: Mapping[str, Any], priority: int) -> Any:  # noqa: ANN401 - decoded JSON
        try:
            return await self.execute_priority_request(
                item["method"],
                item["url"],
                item.get("params"),
                item.get("headers"),
                priority,
                item.get("timeout", 5.0),
            )
        except ValidationError as e:
            return failure(f"ValidationError: {e}")
        except (KeyError, TypeError, AttributeError) as e:
            return failure(f"ValidationError: an item needs method and url ({e!r})")

    async def _read_ticker(self, params: dict[str, Any]) -> Any:  # noqa: ANN401 - decoded JSON
        return await self.execute_priority_request(
            "GET", _TICKERS_PATH, params, None, _READ_PRIORITY, _TICKER_TIMEOUT_S
        )


def _denied(call: Call) -> dict[str, Any]:
    _LOG.warning("request refused: orders go through the client", endpoint=call.endpoint)
    refusal = OrderDenied(
        "past_the_gate",
        f"{call.endpoint} can change orders or the account; use the client, whose risk gate "
        "judges every order",
    )
    return {**failure(f"OrderDenied: {refusal}"), "reason": refusal.reason}
