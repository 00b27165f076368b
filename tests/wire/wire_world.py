"""A real venue process and the whole system, with a TCP proxy before each of its four ways.

REST, the public, the private and the trade WebSocket each have a proxy of their own, so that one
can fail alone. While a fault lasts, the strategy trades and a user sends orders beside it.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from typing_extensions import override
from wire_proxy import WireProxy
from wire_truth import BookOracle, VenueReader, VenueRecords

from trading_system.config.settings import Settings, load_settings
from trading_system.domain.errors import OrderDenied, TradingSystemError
from trading_system.domain.orders import OrderIntent
from trading_system.domain.signals import Consensus, MarketFeatures
from trading_system.execution.journal.store import Journal
from trading_system.execution.tracking import TrackedOrder
from trading_system.execution.transitions import OrderEvent
from trading_system.live.access import Access
from trading_system.live.desk import TradingDesk
from trading_system.live.session import TradingSession
from trading_system.live.watch import Watch
from trading_system.risk.limits import TradingState
from trading_system.runtime.child import ChildSpec, launch
from trading_system.runtime.clock import SystemClock
from trading_system.venues.bybit.hosts import Endpoints
from trading_system.venues.bybit.order_ways import Way as OrderWay

BTC, ETH = "BTCUSDT", "ETHUSDT"
REQUEST_TIMEOUT_S = 2.0
_POLL_S = 0.002
_LOAD_S = 0.7
_CALM_S = 25.0
_TRIES = 20
_ORDERS_S = 4.0
_STREAM_S = 70.0
_AGAIN_S = 0.2
_OWN = "ts-"
# Row kinds of the journal, spelled here again: this harness trusts nothing of the system.
_INTENT, _SETTLED, _FILL = 2, 4, 5
_VALUES: dict[str, object] = {
    "environment": "simulated",
    "symbols": f"{BTC},{ETH}",
    "bybit.request_timeout_s": REQUEST_TIMEOUT_S,
    "strategy.min_edge_bps": -50,
    "strategy.confidence": 0,
    "strategy.max_hold_s": 2,
    "strategy.entry_notional": 300,
    "risk.max_orders_per_second": 8,  # below the venue's quota of ten
    "risk.max_daily_loss_pct": 100,
    "risk.max_drawdown_pct": 100,
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both sides after a fault, when nothing was at work any more.

    ``lost`` and ``duplicated`` count orders and executions; ``text`` names the first of them.
    """

    orders: int
    executions: int
    lost: int
    duplicated: int
    text: str


class WiredDesk(TradingDesk):
    """A desk whose four ways to the venue lead through proxies."""

    proxied: Endpoints

    @override
    def _access(self) -> Access:
        return replace(super()._access(), endpoints=self.proxied)


class World:
    """One venue, one system, the wires between them, and a user who keeps on trading."""

    def __init__(self, desk: WiredDesk, reader: VenueReader, proxies: dict[str, WireProxy]) -> None:
        self.desk, self.venue = desk, reader
        self.rest, self.public = proxies["rest"], proxies["public"]
        self.private, self.trade = proxies["private"], proxies["trade"]
        self.oracle = BookOracle()
        self.outcomes: Counter[str] = Counter()
        self.states: list[tuple[TradingState, bool]] = []
        self.doubts = 0
        self._is_loading = True
        self._idle = asyncio.Event()

    @property
    def session(self) -> TradingSession:
        """The running session."""
        return self.desk.live_session()

    @property
    def proxies(self) -> tuple[WireProxy, ...]:
        """All wires."""
        return self.rest, self.public, self.private, self.trade

    def watch_decisions(self) -> None:
        """Put the oracle before the books, and note every decision and every opening order."""
        session, feed, oracle = self.session, self.session.feed, self.oracle
        callbacks, decide, admit = (
            session.public._callbacks,
            feed._decide,
            session.engine.gate.admit,
        )

        def on_frame(frame: bytes, received_ns: int) -> None:
            oracle.on_frame(frame)
            callbacks.on_frame(frame, received_ns)

        def on_down(reason: str) -> None:
            oracle.lost()
            callbacks.on_down(reason)

        def decided(features: MarketFeatures, consensus: Consensus | None) -> None:
            oracle.note_decision(features.symbol)
            decide(features, consensus)

        def admitted(intent: OrderIntent, *, state: TradingState) -> OrderIntent:
            allowed = admit(intent, state=state)
            if not intent.reduce_only:
                oracle.note_opening(intent.symbol)
            return allowed

        session.public._callbacks = replace(callbacks, on_frame=on_frame, on_down=on_down)
        feed._decide = decided
        session.engine.gate.admit = admitted  # type: ignore[method-assign]  # a spy
        apply = session.engine._apply

        def applied(order: TrackedOrder, event: OrderEvent, reason: str = "") -> None:
            self.doubts += event is OrderEvent.ANSWER_LOST
            apply(order, event, reason)

        session.engine._apply = applied  # type: ignore[method-assign]  # a spy
        listener = session.engine.holds._on_change

        def changed(before: TradingState, after: TradingState) -> None:
            self.states.append((after, session.reconciler.positions_agree is True))
            if listener is not None:
                listener(before, after)

        session.engine.holds._on_change = changed

    def is_well(self) -> bool:
        """Whether everything is up, in agreement and free to trade."""
        session = self.session
        trade = session.traffic.trade_is_up
        return (
            session.engine.state is TradingState.ACTIVE
            and session.private.is_up
            and session.public.is_up
            and trade is not False
            and session.feed.fresh_books(1.0) == 2
            and not session.engine.unknown_orders
        )

    async def until(self, condition: Callable[[], bool], within_s: float) -> float | None:
        """Return the seconds until ``condition`` held, None if it did not in time."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while not condition():
            if loop.time() - began > within_s:
                return None
            await asyncio.sleep(_POLL_S)
        return loop.time() - began

    async def load(self) -> None:
        """Send a small market order now and then, whatever becomes of it."""
        sides = ("Buy", "Sell")
        number = 0
        while True:
            await asyncio.sleep(_LOAD_S)
            if not self._is_loading:
                self._idle.set()
                continue
            self._idle.clear()
            await self.order(side=sides[number % 2])
            number += 1

    async def sent(self, **parameters: object) -> dict[str, Any] | None:
        """Send one order, again while the gate denies it; None if it failed or was never let by."""
        for _ in range(_TRIES):
            try:
                return await self._place(**parameters)
            except OrderDenied:
                await asyncio.sleep(_AGAIN_S)
            except TradingSystemError:
                return None
        return None

    async def order(self, **parameters: object) -> dict[str, Any] | None:
        """Send one order as a user would; return its result, None if it failed or was denied."""
        with contextlib.suppress(TradingSystemError):
            return await self._place(**parameters)
        return None

    async def _place(
        self, *, side: str = "Buy", symbol: str = ETH, **parameters: object
    ) -> dict[str, Any]:
        parameters.setdefault("quantity", "0.05")
        try:
            result = await self.session.client.place_order(symbol, side, **parameters)
        except TradingSystemError as e:
            self.outcomes[type(e).__name__] += 1
            raise
        self.outcomes[str(result["status"])] += 1
        return result

    async def some_orders(self) -> None:
        """Wait until an order was let through, at most a few seconds."""
        before = self.oracle.opening_orders
        _ = await self.until(lambda: self.oracle.opening_orders > before, _ORDERS_S)

    async def takes_the_stream(self) -> None:
        """Wait until orders go by the trade stream again, which loses to REST for a while."""
        preferred = await self.until(
            lambda: self.session.traffic.order_ways.preferred is OrderWay.STREAM, _STREAM_S
        )
        assert preferred is not None, self.session.traffic.order_ways

    async def calm(self) -> None:
        """Let nobody begin anything until every order has ended.

        Raises
        ------
        AssertionError
            If orders are still at work when time is up.
        """
        session = self.session
        self._is_loading = False
        session.trader.pause("comparison")
        settled = await self.until(
            lambda: (
                self._idle.is_set()
                and not session.trader.busy_symbols
                and not session.engine.live_orders
            ),
            _CALM_S,
        )
        left = [(o.intent.link_id, o.status.name) for o in session.engine.live_orders]
        assert settled is not None, f"not calm: {left}, busy {session.trader.busy_symbols}"

    def resume(self) -> None:
        """Let user and strategy trade again."""
        self._is_loading = True
        self._idle.clear()
        self.session.trader.resume()

    async def compare(self) -> Comparison:
        """Compare orders, executions and positions of both sides, one by one."""
        await self.calm()
        found = await self._compared()
        for _ in range(20):  # the journal's writer may be a moment behind
            if not found.lost and not found.duplicated:
                break
            await asyncio.sleep(0.25)
            found = await self._compared()
        return found

    async def _compared(self) -> Comparison:
        truth = await self.venue.records()
        return self._differences(truth, self.session.reconciler.local())

    def _differences(self, truth: VenueRecords, local: dict[str, Decimal]) -> Comparison:
        journal = self.session.journal
        intents = Counter(link for link, _ in _rows(journal, _INTENT))
        fills = Counter(
            exec_id for exec_id, payload in _rows(journal, _FILL) if f'"{_OWN}' in payload
        )
        settled = {link for link, _ in _rows(journal, _SETTLED)}
        lost = {
            "order without intent": set(truth.orders) - set(intents),
            "execution not booked": set(truth.executions) - set(fills),
            "intent without an end": set(intents) - settled,
            "order left open": truth.working & settled,
        }
        doubled = {
            "intent twice": {link for link, count in intents.items() if count > 1},
            "order twice": {link for link, rows in truth.orders.items() if len(rows) > 1},
            "execution twice": {exec_id for exec_id, count in fills.items() if count > 1},
            "execution invented": set(fills) - set(truth.executions),
        }
        positions = {} if truth.positions == local else {"positions": (truth.positions, local)}
        text = "; ".join(
            f"{name}: {sorted(found)[:3]}" for name, found in (lost | doubled).items() if found
        )
        if positions:
            text += f" positions differ: {positions}"
        return Comparison(
            orders=len(truth.orders),
            executions=len(truth.executions),
            lost=sum(map(len, lost.values())) + len(positions),
            duplicated=sum(map(len, doubled.values())),
            text=text,
        )


def _rows(journal: Journal, kind: int) -> list[tuple[str, str]]:
    # The file is locked by its owner; the statement is this harness's own.
    rows = journal._connection.execute(
        "SELECT key, payload FROM entries WHERE kind = ? ORDER BY number", (kind,)
    )
    return [(str(key), _text(payload)) for key, payload in rows]


def _text(payload: object) -> str:
    return payload.decode() if isinstance(payload, bytes) else str(payload)


def _settings(folder: Path, ready: dict[str, Any], proxies: dict[str, WireProxy]) -> Settings:
    given = _VALUES | {
        "data_dir": str(folder / "data"),
        "bybit.rest_url": f"http://127.0.0.1:{proxies['rest'].port}",
        "bybit.ws_url": f"ws://127.0.0.1:{proxies['public'].port}",
        "bybit.api_key": ready["api_key"],
        "bybit.api_secret": ready["api_secret"],
    }
    nowhere = folder / "nothing"
    return load_settings(given, environ={}, dotenv_path=nowhere, config_path=nowhere)


@asynccontextmanager
async def world(folder: Path, *, has_trade: bool = True, seed: int = 7) -> AsyncIterator[World]:
    """Start a venue, four proxies and a system that trades; stop them afterwards.

    Parameters
    ----------
    has_trade : bool
        Whether there is a trade WebSocket; without one every order goes by REST, as on demo.
    """
    command = [sys.executable, "-m", "trading_system", "venue", "--port", "0", "--json"]
    command += ["--symbols", f"{BTC},{ETH}", "--seed", str(seed), "--faults-control"]
    async with AsyncExitStack() as stack:
        child = await stack.enter_async_context(
            launch(ChildSpec(name="venue", command=command, ready_deadline_s=30.0))
        )
        ready = dict(child.ready)
        address = urlsplit(str(ready["rest"]))
        assert address.hostname is not None
        assert address.port is not None
        proxies = {
            name: await stack.enter_async_context(WireProxy(address.hostname, address.port))
            for name in ("rest", "public", "private", "trade")
        }
        http = await stack.enter_async_context(aiohttp.ClientSession())
        desk = WiredDesk(_settings(folder, ready, proxies), clock=SystemClock())
        desk.proxied = Endpoints(
            rest=f"http://127.0.0.1:{proxies['rest'].port}",
            public_ws=f"ws://127.0.0.1:{proxies['public'].port}",
            private_ws=f"ws://127.0.0.1:{proxies['private'].port}",
            trade_ws=f"ws://127.0.0.1:{proxies['trade'].port}" if has_trade else None,
        )
        watch = Watch(desk)
        watch.prepare()
        await desk.start()
        watch.start()
        built = World(desk, VenueReader(ready, http), proxies)
        built.watch_decisions()
        try:
            # New subscriptions bring the snapshots that the oracle begins with.
            for symbol in (BTC, ETH):
                _ = await built.session.public.resync(f"orderbook.50.{symbol}")
            assert await built.until(built.is_well, 20.0) is not None, "it did not get well"
            async with asyncio.TaskGroup() as group:
                user = group.create_task(built.load(), name="user")
                try:
                    yield built
                finally:
                    user.cancel()
        finally:
            for proxy in built.proxies:
                proxy.heal()
            with contextlib.suppress(TradingSystemError):
                await desk.stop("the test is over")
