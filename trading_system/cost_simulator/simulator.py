"""The trade cost simulator: live books of OKX and Bybit, and what a trade would cost on them now.

::

    async with CostSimulator(exchange="okx", instrument="BTC-USDT-SWAP") as simulator:
        answer = simulator.estimate(side="buy", quantity=50_000, unit="usd", volatility_bps=1.5)
        print(answer["net_cost_bps"])
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from optimizers.costs.fees import FeeTables
from trading_system.config.settings import Settings, load_settings
from trading_system.cost_simulator import process
from trading_system.cost_simulator.connecting import Connection, checked_names
from trading_system.cost_simulator.faults import BookUnavailableError, VolatilityUnknownError
from trading_system.cost_simulator.feeds import BookFeed
from trading_system.cost_simulator.models import fitted_models
from trading_system.cost_simulator.pricing import PriceDesk, market_status
from trading_system.cost_simulator.requests import (
    DEFAULT_INSTRUMENTS,
    EstimateRequest,
    read_request,
)
from trading_system.domain.errors import (
    DeadlineExceeded,
    LifecycleError,
    TradingSystemError,
    ValidationError,
)
from trading_system.domain.orders import OrderType
from trading_system.domain.ports import Clock
from trading_system.runtime.clock import SystemClock
from trading_system.runtime.deadline import within
from trading_system.runtime.lifecycle import Component, State, Supervisor

_NS_PER_S = 1_000_000_000
_OPEN_S = 60.0
_PATIENCE_S = 15.0
_QUIET_S = 1.0
_LEAST = 1e-9
_LIVE = frozenset({State.RUNNING, State.DEGRADED})

Update = dict[str, Any] | TradingSystemError


class CostSimulator:
    """Prices trades on live books before they are made; reads public data only.

    Parameters
    ----------
    settings : Settings or None
        None collects them from environment, ``.env`` and ``config.json``. In the environment
        ``simulated`` an embedded venue is started unless addresses are set.
    exchange, instrument : str
        ``bybit`` or ``okx``, and the exchange's own spelling (``BTCUSDT``, ``BTC-USDT-SWAP``);
        what requests mean that do not name theirs. None takes the exchange's bitcoin perpetual.
    markets : sequence of (exchange, instrument)
        Further books to keep open, at most twenty in all.
    must_have_books : bool
        Whether entering waits for a valid book of every market, and fails without one.
    patience_s : float
        How long it waits, seconds.
    feeds : sequence of BookFeed or None
        Books of one's own instead of the exchanges'; nothing is connected then.
    clock : Clock or None
        Ages and latencies; None takes the machine's.
    models : Path or None
        Folder of cost models of one's own. None takes the shipped ones, which were fitted on the
        synthetic market, in the environment ``simulated``, and none elsewhere.

    Raises
    ------
    UnknownInstrumentError
        If an exchange is unknown, or on entering if it does not offer an instrument.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        exchange: str = "bybit",
        instrument: str | None = None,
        *,
        markets: Sequence[tuple[str, str]] = (),
        must_have_books: bool = True,
        patience_s: float = _PATIENCE_S,
        feeds: Sequence[BookFeed] | None = None,
        clock: Clock | None = None,
        models: Path | None = None,
    ) -> None:
        self._settings = load_settings({}, only_reads=True) if settings is None else settings
        if instrument is None:
            instrument = DEFAULT_INSTRUMENTS.get(exchange.strip().lower(), "")
        self._names = checked_names([(exchange, instrument), *markets])
        self._models = models
        self._must_have_books = must_have_books
        self._patience_s = patience_s
        self._clock: Clock = SystemClock() if clock is None else clock
        self._own_feeds = feeds
        self._connection = Connection(self._settings, self._names, clock=self._clock)
        self._desk: PriceDesk | None = None
        self._started_ns = self._clock.monotonic_ns()
        self.estimates = 0
        self._supervisor = Supervisor(
            [
                Component(
                    name="book feeds",
                    start=self._open,
                    stop=self._connection.close,
                    start_deadline_s=_OPEN_S,
                    stop_deadline_s=10.0,
                ),
            ],
            name="cost simulator",
        )

    async def __aenter__(self) -> Self:
        await self._supervisor.start()
        if self._must_have_books:
            try:
                await self.wait_for_books(self._patience_s)
            except BaseException:
                await self._supervisor.stop("no books")
                raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._supervisor.stop("closed")

    # --- asking -------------------------------------------------------------------------------

    def request(self, values: Mapping[str, Any] | None = None, **more: Any) -> EstimateRequest:  # noqa: ANN401 - checked by read_request
        """Return the checked request of :meth:`estimate`'s parameters.

        Raises
        ------
        ValidationError
            If a parameter is unknown, missing or out of range.
        UnknownInstrumentError
            If the instrument is not open here.
        """
        exchange, _ = self._names[0]
        given = {
            key: value for key, value in {**(values or {}), **more}.items() if value is not None
        }
        given.setdefault("exchange", exchange)
        if "instrument" not in given:
            of = str(given["exchange"]).strip().lower()
            named = next((name for at, name in self._names if at == of), None)
            given |= {} if named is None else {"instrument": named}
        request = read_request(given)
        self._open_desk().market(request.exchange, request.instrument)
        return request

    def estimate(self, request: EstimateRequest | None = None, **values: Any) -> dict[str, Any]:  # noqa: ANN401 - checked by read_request
        """Return what a trade would cost on the book of this moment.

        Parameters
        ----------
        request : EstimateRequest or None
            One made by :meth:`request`; None reads the keyword arguments.
        side : str
            ``buy`` or ``sell``.
        quantity : number or str
            Positive and finite, in ``unit``.
        unit : str
            ``base`` (default), ``quote`` or ``usd``.
        order_type : str
            ``market`` (default) or ``limit``, which needs ``price`` in quote currency.
        volatility_bps : number
            Standard deviation of the mid move over one second; left out, the realised one counts.
        tier : str
            Fee tier; left out, the lowest counts.
        horizon_s : number
            Time over which the order may be worked, seconds.
        unfilled : str
            Of a limit order, at the end of the horizon: ``taken`` (default) or ``cancelled``.
        maker_bps, taker_bps : number
            One's own fee rates instead of the tier's, bps of traded value.
        exchange, instrument : str
            Left out, those of the constructor count.

        Returns
        -------
        dict
            JSON-safe, units in the names: ``slippage_bps``, ``fees_bps``, ``market_impact_bps``,
            ``net_cost_bps`` (their sum), ``naive_sum_bps``, ``interval``, ``maker_pct``,
            ``taker_pct``, ``schedule``, ``book``, ``latency`` and more; see
            docs/cost_simulator.md.

        Raises
        ------
        BookUnavailableError
            If the book is missing or older than ``TRADING_COST__STALE_AFTER_S``.
        VolatilityUnknownError
            If the realised volatility is not known yet.
        ValidationError
            If the request cannot be priced as it stands.
        """
        asked = self.request(values) if request is None else request
        self._require_live()
        answer = self._open_desk().price(asked)
        self.estimates += 1
        return answer

    async def watch(
        self,
        request: EstimateRequest | None = None,
        *,
        min_interval_s: float = 0.0,
        **values: Any,  # noqa: ANN401 - checked by read_request
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Yield an estimate on every tick, and at least once a second.

        Ticks that come while the consumer is busy, or within ``min_interval_s`` of the last one,
        are conflated: the newest book counts.

        Raises
        ------
        TradingSystemError
            As :meth:`estimate`, as soon as there is no estimate to be had.
        """
        asked = self.request(values) if request is None else request
        async with aclosing(self.updates(asked, min_interval_s=min_interval_s)) as updates:
            async for update in updates:
                if isinstance(update, TradingSystemError):
                    raise update
                yield update

    async def updates(
        self, request: EstimateRequest, *, min_interval_s: float = 0.0
    ) -> AsyncGenerator[Update, None]:
        """Yield what :meth:`watch` yields, and passing errors in their place instead of raising.

        Passing is what another book may change, such as an order too large for the present one.

        Raises
        ------
        ValidationError
            If no book can ever make the request right.
        BookUnavailableError
            If the simulator has ended.
        """
        desk = self._open_desk()
        market = desk.market(request.exchange, request.instrument)
        changed = asyncio.Event()
        market.watchers.add(changed)
        has_ticked = False
        try:
            while True:
                self._require_live()
                changed.clear()
                yield self._update(desk, request, is_new_tick=has_ticked)
                if min_interval_s > 0:
                    await asyncio.sleep(min_interval_s)
                # Behind a tick that came meanwhile nobody was waiting: its age is no reaction time.
                is_late = changed.is_set()
                has_ticked = await _happens(changed, within_s=_QUIET_S) and not is_late
        finally:
            market.watchers.discard(changed)

    async def wait_until_priceable(self, request: EstimateRequest, *, deadline_s: float) -> None:
        """Return as soon as ``request`` can be priced.

        Raises
        ------
        ValidationError
            If the present book cannot price it as it stands; that is not waited for.
        TradingSystemError
            What :meth:`estimate` said last when the deadline was over.
        """
        error: TradingSystemError | None = None
        try:
            async with (
                within(deadline_s, "the wait for an estimate"),
                aclosing(self.updates(request)) as updates,
            ):
                async for update in updates:
                    if isinstance(update, dict):
                        return
                    if isinstance(update, ValidationError):
                        raise update
                    error = update
        except DeadlineExceeded:
            if error is not None:
                raise error from None
            raise

    async def wait_for_books(self, deadline_s: float) -> None:
        """Return when every market has a valid book.

        Raises
        ------
        BookUnavailableError
            If the deadline passes before; the message names the markets without one.
        """
        desk = self._open_desk()
        try:
            async with asyncio.timeout(deadline_s):
                for market in desk.markets.values():
                    changed = asyncio.Event()
                    market.watchers.add(changed)
                    try:
                        while not desk.is_priceable(market):
                            self._require_live()
                            await _happens(changed, within_s=_QUIET_S)
                            changed.clear()
                    finally:
                        market.watchers.discard(changed)
        except TimeoutError:
            missing = [
                f"{market.exchange} {market.instrument}"
                for market in desk.markets.values()
                if not desk.is_priceable(market)
            ]
            raise BookUnavailableError(
                f"no valid book of {', '.join(missing)} within {deadline_s:g} s; check the network "
                "and the addresses in the settings"
            ) from None

    async def serve_until(self, stop: asyncio.Event) -> None:
        """Return when ``stop`` is set.

        Raises
        ------
        TradingSystemError
            What made the simulator end before.
        """
        async with asyncio.TaskGroup() as group:
            ended = group.create_task(self._note_end(stop), name="end of the simulator")
            await stop.wait()
            ended.cancel()
        if isinstance(self._supervisor.error, TradingSystemError):
            raise self._supervisor.error

    # --- state --------------------------------------------------------------------------------

    @property
    def names(self) -> tuple[tuple[str, str], ...]:
        """(exchange, instrument) of every market; the first is what requests mean by default."""
        return self._names

    @property
    def is_healthy(self) -> bool:
        """Whether every open market can be priced now."""
        if self._desk is None or self._supervisor.state not in _LIVE:
            return False
        return all(self._desk.is_priceable(market) for market in self._desk.markets.values())

    def status(self) -> dict[str, Any]:
        """Return how feeds, books, latency and process are doing, JSON-safe."""
        now_ns = self._clock.monotonic_ns()
        desk = self._desk
        return {
            "state": self._supervisor.state.name,
            "reason": self._supervisor.reason,
            "environment": self._settings.environment,
            "is_healthy": self.is_healthy,
            "uptime_s": (now_ns - self._started_ns) / _NS_PER_S,
            "estimates": self.estimates,
            "markets": []
            if desk is None
            else [market_status(desk, m, now_ns=now_ns) for m in desk.markets.values()],
            "feeds": {} if desk is None else {feed.exchange: feed.figures() for feed in desk.feeds},
            "process": process.figures(),
        }

    # --- private ------------------------------------------------------------------------------

    async def _open(self) -> None:
        tables = FeeTables.load(self._settings.cost.fee_tables)
        models = fitted_models(self._settings.environment, self._models)
        feeds = self._own_feeds
        if feeds is None:
            await self._connection.open()
            feeds = self._connection.feeds
        self._desk = PriceDesk(
            feeds,
            cost=self._settings.cost,
            tables=tables,
            maker=models.maker,
            slippage=models.slippage,
            clock=self._clock,
            origin=models.origin,
        )
        running = self._connection.tasks() if self._own_feeds is None else []
        running += [(f"{feed.exchange} books", feed.run()) for feed in self._own_feeds or ()]
        for name, work in running:
            _ = self._supervisor.spawn(name, work)

    async def _note_end(self, stop: asyncio.Event) -> None:
        with suppress(Exception):  # kept by the supervisor, read by the caller
            await self._supervisor.wait()
        stop.set()

    def _open_desk(self) -> PriceDesk:
        if self._desk is None:
            raise LifecycleError("the cost simulator is not open; use it inside `async with`")
        return self._desk

    def _require_live(self) -> None:
        supervisor = self._supervisor
        if supervisor.state in _LIVE or supervisor.state is State.STARTING:
            return
        raise BookUnavailableError(
            f"the cost simulator has ended ({supervisor.reason}); start it again"
        )

    def _update(self, desk: PriceDesk, request: EstimateRequest, *, is_new_tick: bool) -> Update:
        try:
            answer = desk.price(request, is_new_tick=is_new_tick)
        except (BookUnavailableError, VolatilityUnknownError) as e:
            return e
        except ValidationError as e:
            if _is_hopeless(desk, request):
                raise
            return e
        self.estimates += 1
        return answer


# A refusal that stays with a market order of next to nothing has nothing to do with the book: tier,
# unit or the given volatility is wrong.
def _is_hopeless(desk: PriceDesk, request: EstimateRequest) -> bool:
    least = replace(
        request,
        order_type=OrderType.MARKET,
        price=None,
        quantity=min(request.quantity, _LEAST),
        volatility_bps=1.0 if request.volatility_bps is None else request.volatility_bps,
    )
    try:
        desk.price(least)
    except ValidationError:
        return True
    except TradingSystemError:
        return False
    return False


async def _happens(event: asyncio.Event, *, within_s: float) -> bool:
    try:
        async with asyncio.timeout(within_s):
            await event.wait()
    except TimeoutError:
        return False
    return True
