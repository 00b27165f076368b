"""Prices trades against the live books: synchronous, one call, one answer or one clear error."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from typing_extensions import override

from optimizers.costs.estimate import estimate
from optimizers.costs.fees import FeeTables, with_own
from optimizers.costs.figures import CostInputs, FeeRates
from optimizers.costs.maker_taker import MakerTakerModel
from optimizers.costs.quantity import base_quantity
from optimizers.costs.slippage import SlippageModel
from optimizers.microstructure.levels import BookLevels, read_levels
from trading_system.config.sections import CostSettings
from trading_system.cost_simulator import stages
from trading_system.cost_simulator.answer import Circumstances, as_answer
from trading_system.cost_simulator.faults import (
    BookUnavailableError,
    UnknownInstrumentError,
    VolatilityUnknownError,
)
from trading_system.cost_simulator.feeds import BookFeed, BookView, Listeners, Tick
from trading_system.cost_simulator.models import OWN
from trading_system.cost_simulator.requests import EstimateRequest
from trading_system.domain.errors import CorruptDataError
from trading_system.domain.ports import Clock
from trading_system.market.volatility import MIN_RETURNS, RealisedVolatility

_NS_PER_S = 1_000_000_000
_SHOWN_NAMES = 8
_BYBIT_QUOTES = ("USDT", "USDC")
_BPS = 10_000.0


class Market:
    """One instrument of one exchange: where its book comes from and what is known of it."""

    def __init__(self, feed: BookFeed, instrument: str, *, cost: CostSettings) -> None:
        self.feed = feed
        self.exchange = feed.exchange
        self.instrument = instrument
        self.product = feed.products[instrument]
        self.volatility = RealisedVolatility(cost.volatility_window_s)
        self.stages = stages.Stages()
        self.rate = stages.TickRate()
        self.watchers: set[asyncio.Event] = set()
        self.tick_ns = 0
        self._has_new_tick = False
        self._levels: tuple[int, BookLevels] | None = None

    def levels(self, view: BookView) -> BookLevels:
        """Return the checked levels of ``view``, worked out once per version of the book.

        Raises
        ------
        BookUnavailableError
            If the book is crossed or holds what is no number.
        """
        if self._levels is None or self._levels[0] != view.version:
            try:
                levels = read_levels(self.instrument, {"bids": view.bids, "asks": view.asks})
            except CorruptDataError as e:
                raise BookUnavailableError(f"{e}; wait for the feed's next book") from e
            self._levels = (view.version, levels)
        return self._levels[1]

    def on_tick(self, tick: Tick) -> None:
        """Take note of a changed book and wake whoever watches it."""
        if tick.decoded_ns is not None:
            self.stages.record(stages.MESSAGE, tick.decoded_ns - tick.received_ns)
        since_ns = tick.received_ns if tick.decoded_ns is None else tick.decoded_ns
        self.stages.record(stages.BOOK, tick.applied_ns - since_ns)
        self.tick_ns = tick.applied_ns - tick.received_ns
        self._has_new_tick = True
        self.rate.count(tick.received_ns)
        self.volatility.observe(tick.mid, tick.received_ns)
        self._wake()

    def take_tick(self) -> bool:
        """Return whether there was a tick since the last call; ``tick_ns`` is what it took."""
        has_new_tick, self._has_new_tick = self._has_new_tick, False
        return has_new_tick

    def on_lost(self) -> None:
        """Forget what a lost book made uncertain."""
        self._levels = None
        self.volatility.interrupt()
        self._wake()

    def _wake(self) -> None:
        for watcher in self.watchers:
            watcher.set()


class _TimedMaker(MakerTakerModel):
    # Lets another model answer, and notes how long that took.

    def __init__(self, model: MakerTakerModel, clock: Clock) -> None:
        super().__init__()
        self._model = model
        self._clock = clock
        self.taken_ns: int | None = None

    @property
    @override
    def is_trained(self) -> bool:
        return self._model.is_trained

    @property
    @override
    def horizon_s(self) -> float:
        return self._model.horizon_s

    @override
    def predict_maker_probability(
        self,
        spread: float,
        market_depth: float,
        volatility: float,
        order_size: float,
        price: float | None = None,
    ) -> float:
        started_ns = self._clock.monotonic_ns()
        probability = self._model.predict_maker_probability(
            spread, market_depth, volatility, order_size, price
        )
        self.taken_ns = self._clock.monotonic_ns() - started_ns
        return probability


class PriceDesk:
    """Answers requests from the books of several feeds.

    Parameters
    ----------
    feeds : iterable of BookFeed
        One per exchange; each tells this desk of its ticks from now on.
    cost : CostSettings
        Horizon, risk aversion, patience with old books.
    tables : FeeTables
        Fee rates by exchange, product and tier.
    maker, slippage : MakerTakerModel or None, SlippageModel or None
        Fitted models; without one the estimate says what it does instead.
    clock : Clock
        Ages and latencies.
    origin : str
        What the models were fitted on; shown beside what they say.
    """

    def __init__(
        self,
        feeds: Iterable[BookFeed],
        *,
        cost: CostSettings,
        tables: FeeTables,
        maker: MakerTakerModel | None,
        slippage: SlippageModel | None,
        clock: Clock,
        origin: str = OWN,
    ) -> None:
        self._origin = origin
        self._cost = cost
        self._tables = tables
        self._maker = None if maker is None else _TimedMaker(maker, clock)
        self._slippage = slippage
        self._clock = clock
        self._lowest: dict[tuple[str, str], str] = {}
        self.feeds = tuple(feeds)
        self.markets: dict[tuple[str, str], Market] = {}
        for feed in self.feeds:
            for instrument in feed.products:
                market = Market(feed, instrument, cost=cost)
                self.markets[feed.exchange, instrument] = market
            feed.listen(Listeners(on_tick=partial(self._on_tick, feed), on_lost=self._loser(feed)))

    def market(self, exchange: str, instrument: str) -> Market:
        """Return one market.

        Raises
        ------
        UnknownInstrumentError
            If it is not open here; the message names what is.
        """
        found = self.markets.get((exchange, instrument))
        if found is not None:
            return found
        names = [name for of, name in self.markets if of == exchange]
        if not names:
            open_here = ", ".join(dict.fromkeys(of for of, _ in self.markets))
            raise UnknownInstrumentError(f"no books of {exchange} are open; take {open_here}")
        shown = ", ".join(names[:_SHOWN_NAMES])
        raise UnknownInstrumentError(
            f"{instrument} of {exchange} is not open; take {shown}, or open it at the start"
        )

    def tiers(self, market: Market) -> tuple[str, ...]:
        """Return the fee tiers of a market, lowest first."""
        return self._tables.tiers(market.exchange, market.product)

    def is_priceable(self, market: Market) -> bool:
        """Return whether the market has a book that an estimate may be made from."""
        try:
            self._trusted(market)
        except BookUnavailableError:
            return False
        return True

    def age_s(self, market: Market) -> float | None:
        """Return the age of the market's book, None without one."""
        view = market.feed.view(market.instrument)
        if view is None:
            return None
        return (self._clock.monotonic_ns() - view.confirmed_ns) / _NS_PER_S

    def price(self, request: EstimateRequest, *, is_new_tick: bool = False) -> dict[str, Any]:
        """Return the costs of ``request`` at this moment.

        Parameters
        ----------
        is_new_tick : bool
            Whether the caller was waiting for the newest tick, so that the time since its receipt
            is the reaction's.

        Raises
        ------
        BookUnavailableError
            If the book is missing or too old.
        VolatilityUnknownError
            If the realised volatility was asked for and is not known yet.
        ValidationError
            If the request cannot be priced as it stands.
        """
        market = self.market(request.exchange, request.instrument)
        started_ns = self._clock.monotonic_ns()
        view = self._trusted(market)
        volatility, samples = self._volatility(market, request, started_ns)
        fees = self._fees(market, request)
        horizon_s = self._cost.horizon_s if request.horizon_s is None else request.horizon_s
        levels = market.levels(view)
        ready_ns = self._clock.monotonic_ns()
        inputs = CostInputs(
            levels=levels,
            side=request.side,
            order_type=request.order_type,
            quantity=base_quantity(
                request.quantity,
                request.unit,
                mid=levels.mid,
                quote_currency=_quote_currency(market),
            ),
            volatility=volatility,
            fees=fees,
            limit_price=request.price,
            horizon_s=horizon_s,
            risk_aversion=self._cost.risk_aversion,
            unfilled=request.unfilled,
        )
        maker = self._maker
        if maker is not None:
            maker.taken_ns = None
        figures = estimate(inputs, maker=maker, slippage=self._slippage)
        priced_ns = self._clock.monotonic_ns()
        made_from = Circumstances(
            product=market.product,
            view=view,
            fees=fees,
            volatility=volatility,
            volatility_samples=samples,
            horizon_s=horizon_s,
            origin=self._origin,
            quote_currency=_quote_currency(market),
            age_ns=started_ns - view.confirmed_ns,
            ticks_per_s=market.rate.per_second(started_ns),
        )
        answer = as_answer(request, figures, made_from)
        market.stages.record(stages.LEVELS, ready_ns - started_ns)
        models_ns, maker_ns = priced_ns - ready_ns, None if maker is None else maker.taken_ns
        if maker_ns is not None:
            market.stages.record(stages.MAKER_TAKER, maker_ns)
        market.stages.record(stages.IMPACT, models_ns - (maker_ns or 0))
        market.stages.record(stages.ESTIMATE, models_ns)
        ended_ns = self._clock.monotonic_ns()
        if market.take_tick():
            market.stages.record(stages.TOTAL, market.tick_ns + ended_ns - started_ns)
        if is_new_tick:
            market.stages.record(stages.REACTION, ended_ns - view.received_ns)
        answer["latency"] = market.stages.newest_us()
        return answer

    def _trusted(self, market: Market) -> BookView:
        name = f"{market.exchange} {market.instrument}"
        view = market.feed.view(market.instrument)
        if view is None:
            raise BookUnavailableError(
                f"there is no valid book of {name} now; wait for the feed, see its status"
            )
        age_s = (self._clock.monotonic_ns() - view.confirmed_ns) / _NS_PER_S
        if age_s > self._cost.stale_after_s:
            raise BookUnavailableError(
                f"the book of {name} is {age_s:.1f} s old, more than "
                f"{self._cost.stale_after_s:g} s; wait for the feed, or raise "
                "TRADING_COST__STALE_AFTER_S"
            )
        return view

    def _volatility(
        self, market: Market, request: EstimateRequest, now_ns: int
    ) -> tuple[float, int | None]:
        if request.volatility_bps is not None:
            return request.volatility_bps / _BPS, None
        measured = market.volatility.per_second(now_ns)
        name = f"{market.exchange} {market.instrument}"
        if measured is None:
            raise VolatilityUnknownError(
                f"the realised volatility of {name} has {market.volatility.samples} of "
                f"{MIN_RETURNS} one-second returns; wait, or give volatility_bps"
            )
        if measured <= 0.0:
            raise VolatilityUnknownError(
                f"the mid of {name} has not moved within the volatility window; wait, or give "
                "volatility_bps"
            )
        return measured, market.volatility.samples

    def _fees(self, market: Market, request: EstimateRequest) -> FeeRates:
        tier = request.tier
        if tier is None:
            key = (market.exchange, market.product)
            tier = self._lowest.get(key)
            if tier is None:
                tier = self._lowest[key] = self._tables.tiers(*key)[0]
        return with_own(
            self._tables.rates(market.exchange, market.product, tier),
            maker_bps=request.maker_bps,
            taker_bps=request.taker_bps,
        )

    def _on_tick(self, feed: BookFeed, tick: Tick) -> None:
        self.markets[feed.exchange, tick.instrument].on_tick(tick)

    def _loser(self, feed: BookFeed) -> Callable[[str], None]:
        return lambda instrument: self.markets[feed.exchange, instrument].on_lost()


def _quote_currency(market: Market) -> str | None:
    # OKX's names say it (ETH-BTC); Bybit's linear contracts are all quoted in a dollar stablecoin,
    # USDC where the name ends with PERP.
    words = market.instrument.split("-")
    if market.exchange == "okx":
        return words[1] if len(words) > 1 else None
    if words[0].endswith("PERP"):
        return "USDC"
    return next((name for name in _BYBIT_QUOTES if words[0].endswith(name)), None)


def market_status(desk: PriceDesk, market: Market, *, now_ns: int) -> dict[str, Any]:
    """Return how one market is doing, JSON-safe."""
    view = market.feed.view(market.instrument)
    volatility = market.volatility.per_second(now_ns)
    return {
        "exchange": market.exchange,
        "instrument": market.instrument,
        "product": market.product,
        "is_priceable": desk.is_priceable(market),
        "age_s": desk.age_s(market),
        "sequence": None if view is None else view.sequence,
        "exchange_time_ms": (
            None
            if view is None or view.ts_exchange_ns is None
            else view.ts_exchange_ns // 1_000_000
        ),
        "ticks": market.rate.ticks,
        "ticks_per_s": market.rate.per_second(now_ns),
        "volatility_bps": None if volatility is None else volatility * _BPS,
        "volatility_samples": market.volatility.samples,
        "watchers": len(market.watchers),
        "fee_tiers": list(desk.tiers(market)),
        "latency": market.stages.summary(),
    }
