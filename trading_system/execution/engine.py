"""The gated order engine: the only way of an order to the raw venue gateway.

Every order passes the risk gate here, is in the journal before its first byte is sent, is tracked
until its outcome is known, and is never sent a second time: an answer that did not come is looked
up by link id. No order passes before :meth:`ExecutionEngine.recover` has concluded what earlier
runs left open.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

import structlog

from trading_system.domain.errors import (
    DeadlineExceeded,
    JournalError,
    OrderDenied,
    ValidationError,
    VenueError,
)
from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import (
    LONG_INDEX,
    SHORT_INDEX,
    Fill,
    OrderIntent,
    OrderReport,
    OrderType,
    Side,
    TimeInForce,
    TrailingStop,
)
from trading_system.domain.ports import Clock, VenueGateway
from trading_system.execution import recovery
from trading_system.execution.brake import Brake
from trading_system.execution.gate import OrderGate
from trading_system.execution.journal.store import Journal
from trading_system.execution.kill import KillOutcome, KillSwitch
from trading_system.execution.lookup import OrderLookup
from trading_system.execution.sender import OrderSender
from trading_system.execution.tracker import ignore
from trading_system.execution.tracking import TrackedStatus
from trading_system.monitoring.latency import StageLatency
from trading_system.risk.holds import Holds
from trading_system.risk.limits import DenyReason, MarketView, RiskLimits, TradingState
from trading_system.risk.losses import LossBreach, LossGuard
from trading_system.risk.portfolio import Portfolio
from trading_system.runtime.limiter import SlidingWindow

LINK_PREFIX = "ts-"
"""How the link id of every order of this project begins."""

RECOVERY = "recovery"
"""Source of the hold that is in force until :meth:`ExecutionEngine.recover` is done."""

_LOG = structlog.get_logger(__name__)


class ExecutionEngine(OrderSender):
    """An :class:`OrderGateway` that gates, journals, tracks and settles.

    Parameters
    ----------
    gateway : VenueGateway
        The raw venue client; nothing else in the assembled system holds it.
    lookup : OrderLookup
        Read side of the same venue.
    instruments : Mapping[str, Instrument]
        Tradable symbols.
    limits : RiskLimits
        Hard caps.
    order_rate : SlidingWindow
        Limiter of new orders.
    portfolio : Portfolio
        Receives every fill once.
    journal : Journal
        Open journal; the engine writes to it, its owner closes it after the engine's last use.
    losses : LossGuard
        Judge of the equity.
    market : Callable[[str], MarketView]
        Newest market view of a symbol.
    clock : Clock
        Monotonic stamps and UTC days.
    latency : StageLatency
        Receives the stages ``gate``, ``ack`` and ``fill``.
    run_id : str
        Eight hex digits that prefix every link id of this run, never used before.
    request_life_s : float
        Seconds after which a request that the venue has not seen can no longer take effect.
    holds : Holds or None
        Shared holds; None makes new ones.
    clock_offset_ms : Callable[[], float | None] or None
        Distance of the own clock from the venue's, milliseconds; None where nothing measures it.
    amend_rate : SlidingWindow or None
        Limiter of price changes; None lets 1000 pass per second.
    on_booked : Callable[[Fill], None]
        Told of every fill that this run books, own or not, once.
    on_funded : Callable[[str, Decimal], None]
        Told of every funding settlement that this run books: symbol, amount received.
    """

    def __init__(
        self,
        *,
        gateway: VenueGateway,
        lookup: OrderLookup,
        instruments: Mapping[str, Instrument],
        limits: RiskLimits,
        order_rate: SlidingWindow,
        portfolio: Portfolio,
        journal: Journal,
        losses: LossGuard,
        market: Callable[[str], MarketView],
        clock: Clock,
        latency: StageLatency,
        run_id: str,
        request_life_s: float = 5.0,
        holds: Holds | None = None,
        clock_offset_ms: Callable[[], float | None] | None = None,
        amend_rate: SlidingWindow | None = None,
        on_booked: Callable[[Fill], None] = ignore,
        on_funded: Callable[[str, Decimal], None] = ignore,
    ) -> None:
        self.losses = losses
        super().__init__(
            gateway=gateway,
            lookup=lookup,
            instruments=instruments,
            limits=limits,
            order_rate=order_rate,
            amend_rate=amend_rate,
            portfolio=portfolio,
            journal=journal,
            brake=Brake(
                holds=holds if holds is not None else Holds(),
                losses=losses,
                journal=journal,
                clock=clock,
            ),
            market=market,
            clock=clock,
            latency=latency,
            request_life_s=request_life_s,
            clock_offset_ms=clock_offset_ms,
            on_booked=on_booked,
            on_funded=on_funded,
        )
        self._run_id = run_id
        self._kill_switch = KillSwitch(self, instruments)
        self._sequence = 0
        self._has_begun = False
        self.holds.set(RECOVERY, TradingState.HALTED, "earlier runs are not reconciled yet")

    @property
    def state(self) -> TradingState:
        """What the gate lets through: the strictest hold."""
        return self.holds.state

    @property
    def gate(self) -> OrderGate:
        """Limits, refusals and what is left of the order rate; for reading only."""
        return self._gate

    def trades(self, symbol: str) -> bool:
        """Return whether orders of ``symbol`` can pass at all."""
        return symbol in self._instruments

    def next_link_id(self) -> str:
        """Return a link id that was never used: ``ts-<run>-<sequence>``."""
        self._sequence += 1
        return f"{LINK_PREFIX}{self._run_id}-{self._sequence}"

    async def recover(
        self,
        *,
        deadline_s: float = 15.0,
        timeout_s: float = 5.0,
        is_fresh_account: bool = False,
    ) -> recovery.Recovery:
        """Conclude what earlier runs left open, then let orders pass; again after a failure.

        Latched holds and loss references come back into force first. Every unsettled intent is
        looked up by link id, resting orders of the project are cancelled, and executions that no
        run had recorded are recorded. They are not booked: adopt the venue's positions afterwards.
        With ``is_fresh_account`` the account has no past, and recorded executions are another's.

        Raises
        ------
        DeadlineExceeded
            If not everything was concluded in time; the gate stays closed.
        VenueAuthError
            If the venue refuses the key.
        ValidationError
            If the run id was used before.
        JournalError
            If the journal cannot be written.
        """
        latched = self._brake.restore()
        left, recorded = self._journal.unsettled_intents(), self._journal.fills()
        if not self._has_begun:
            self._journal.begin_run(self._run_id, is_fresh_account=is_fresh_account)
            self._has_begun = True
        # The positions and the wallet that are adopted later contain all of these.
        for fill in recorded:
            self._portfolio.remember(fill)
        for funding in self._journal.fundings():
            self._portfolio.remember_funding(funding.exec_id)
        self._is_recovering = True
        try:
            orders = [
                self._ledger.get(found.intent.link_id) or self._restored(found, recorded)
                for found in left
            ]
            cancelled = await recovery.conclude(
                self, orders, deadline_s=deadline_s, timeout_s=timeout_s
            )
        finally:
            self._is_recovering = False
        outcomes = {s: sum(o.status is s for o in orders) for s in TrackedStatus if s.is_final}
        found = len(self._journal.fills()) - len(recorded) if left else 0
        self.holds.clear(RECOVERY)
        _LOG.info("recovered", unsettled=len(orders), fills=found, cancelled=cancelled)
        return recovery.Recovery(
            outcomes=outcomes, fills=found, cancelled=cancelled, latched=latched
        )

    async def protect(self, symbol: str, stop_price: Decimal | None, *, timeout_s: float) -> None:
        """Let a stop loss for the whole position rest at the venue; passes in every state.

        In hedge mode it belongs to the side of the net position; a removal concerns both.

        Raises
        ------
        OrderDenied
            If the symbol is not tradable.
        OffGridError
            If the price is not finite or not on the grid; nothing is sent.
        """
        instrument = self._tradable(symbol)
        if stop_price is not None and instrument.price_to_ticks(stop_price) <= 0:
            self._gate.deny(DenyReason.NOT_FINITE, f"a stop at {stop_price} is not positive")
        for index in self._stop_indices(symbol, is_removal=stop_price is None):
            await self._gateway.protect(symbol, stop_price, position_idx=index, timeout_s=timeout_s)

    async def trail(self, symbol: str, stop: TrailingStop | None, *, timeout_s: float) -> None:
        """Let a trailing stop for the whole position rest at the venue; passes in every state.

        It can only close. In hedge mode it belongs to the side of the net position; None removes
        it, from both.

        Raises
        ------
        OrderDenied
            If the symbol is not tradable.
        OffGridError
            If the distance or the active price is not on the grid; nothing is sent.
        """
        instrument = self._tradable(symbol)
        if stop is not None:
            for price in (stop.distance, stop.active_price):
                if price is not None:
                    _ = instrument.price_to_ticks(price)  # raises when it is off the grid
        for index in self._stop_indices(symbol, is_removal=stop is None):
            await self._gateway.trail(symbol, stop, position_idx=index, timeout_s=timeout_s)

    def _tradable(self, symbol: str) -> Instrument:
        instrument = self._instruments.get(symbol)
        if instrument is None:
            self._gate.deny(DenyReason.UNKNOWN_SYMBOL, f"{symbol} is not a configured symbol")
        return instrument

    def _stop_indices(self, symbol: str, *, is_removal: bool) -> tuple[int, ...]:
        """Return which positions of ``symbol`` a stop concerns."""
        stakes = self._portfolio.stakes_of(symbol)
        if is_removal or len(stakes) == 1:
            return tuple(stake.position_idx for stake in stakes)
        net = sum((stake.quantity for stake in stakes), Decimal(0))
        return (LONG_INDEX if net >= 0 else SHORT_INDEX,)

    def throttle(self, share: float) -> None:
        """Let orders that may open a position use only this part of the order rate, in (0, 1].

        At least one new order per window passes; 1 is the whole rate again.

        Raises
        ------
        ValidationError
            If the share is out of its range; nothing changes.
        """
        if not 0.0 < share <= 1.0:
            raise ValidationError(f"a share must be above 0 and at most 1, was {share}")
        self._gate.order_share = share

    def latch(self, source: str, state: TradingState, reason: str) -> None:
        """Hold trading until :meth:`release`, restarts included."""
        self._brake.latch(source, state, reason)

    def release(self, source: str, *, reason: str) -> bool:
        """Lift a hold for good; return whether there was one; see :meth:`Brake.release`."""
        return self._brake.release(source, reason=reason)

    def check_losses(self) -> LossBreach | None:
        """Judge the account's equity; call it after each round of marks.

        A breach latches ``loss-limit`` and leaves only orders that shrink a position. Nothing is
        judged before every adopted position of a tradable symbol has a mark; one of another symbol
        without a mark counts without its open profit.
        """
        if self._portfolio.unvalued & self._instruments.keys():
            return None
        return self._brake.check_losses(self._portfolio.equity)

    def check_journal(self) -> bool:
        """Find out whether the journal can be written, and hold or go on; call it regularly."""
        return self._brake.check_journal()

    async def kill(self, reason: str, *, flatten: bool, deadline_s: float = 10.0) -> KillOutcome:
        """Block every order, cancel until the venue confirms that none is open, then close.

        The block is latched: only :meth:`release` of ``operator`` lifts it. Works with a broken
        journal, may be called again at any time, and does not raise when the venue is silent.
        """
        self._brake.latch("operator", TradingState.HALTED, f"kill: {reason}")
        return await self._kill_switch.run(flatten=flatten, deadline_s=deadline_s)

    async def resting_orders(self) -> list[OrderReport]:
        """Return the venue's open orders that carry this project's prefix."""
        found = await self._lookup.open_orders()
        return [o for o in found if o.link_id.startswith(LINK_PREFIX) and not o.is_protective]

    async def killable_orders(self) -> list[OrderReport]:
        """Return the venue's open orders, protective stops left out."""
        return [o for o in await self._lookup.open_orders() if not o.is_protective]

    def open_positions(self) -> tuple[str, ...]:
        """Return the tradable symbols with a position."""
        held = dict.fromkeys(p.symbol for p in self._portfolio.stakes if p.quantity)
        return tuple(symbol for symbol in held if symbol in self._instruments)

    async def close_position(self, symbol: str, *, timeout_s: float) -> None:
        """Send one reduce-only order for the whole position and wait for its end.

        In hedge mode one for each side, the second also if the first failed. Only for the kill
        switch: it passes while HALTED, and with a broken journal.

        Raises
        ------
        OrderDenied
            If trading is not halted: then an exit goes through :meth:`submit`.
        VenueError
            If the venue refused or did not answer.
        DeadlineExceeded
            If the order was not settled in time.
        """
        if self.holds.state is not TradingState.HALTED:
            raise OrderDenied(DenyReason.REDUCE_ONLY.value, "closing is for the kill switch")
        failure: VenueError | DeadlineExceeded | None = None
        for stake in self._portfolio.stakes_of(symbol):
            try:
                if stake.quantity or symbol not in self._portfolio.hedged:
                    await self._close(symbol, stake.quantity, timeout_s=timeout_s)
            except (VenueError, DeadlineExceeded) as e:
                failure = failure or e
        if failure is not None:
            raise failure

    async def _close(self, symbol: str, held: Decimal, *, timeout_s: float) -> None:
        intent = self._gate.closing(
            OrderIntent(
                symbol=symbol,
                side=Side.SELL if held > 0 else Side.BUY,
                order_type=OrderType.MARKET,
                quantity=min(abs(held), self._instruments[symbol].max_market_qty),
                time_in_force=TimeInForce.IOC,
                reduce_only=True,
                link_id=self.next_link_id(),
            )
        )
        try:
            self._journal.write_intent(intent)
        except JournalError as e:  # closing must not wait for a disk
            self._brake.watch_journal()
            _LOG.error("closing without a journal", link_id=intent.link_id, error=str(e))
        await self._send(intent, timeout_s=timeout_s)
        await self.settle(intent.link_id, timeout_s=timeout_s)
