"""What moves an exchange's market: reference prices, funding, house flow, recorded trades."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from trading_system.domain.errors import ValidationError
from trading_system.domain.orders import Side
from trading_system.simulation.accounts.account import Account
from trading_system.simulation.contracts import Contract, money
from trading_system.simulation.exchange_parts import parts_of
from trading_system.simulation.exchange_queries import ExchangeQueries
from trading_system.simulation.records import HOUSE, ExchangeListener, LiquidationRecord
from trading_system.simulation.steps import MatchingStep


class ExchangeMarket(ExchangeQueries):
    """The venue's own side of an exchange; nothing here is asked for by an account.

    Parameters
    ----------
    contracts : Mapping of str to Contract
        By listing key.
    accounts : Mapping of int to Account
        By account id.
    seed : int
        Decides all ids.
    """

    def __init__(
        self,
        contracts: Mapping[str, Contract],
        accounts: Mapping[int, Account],
        *,
        seed: int,
    ) -> None:
        super().__init__(contracts, accounts)
        self.listener: ExchangeListener | None = None
        self.parts = parts_of(contracts, accounts, seed=seed, tell=self._tell)
        self._settlement = self.parts.settlement
        self._house = self.parts.house
        self._liquidation = self.parts.liquidation
        self._aftermath = self.parts.aftermath

    def _tell(self, step: MatchingStep) -> None:
        step.tell(self.listener)

    # Reference prices.

    def set_reference(
        self, symbol: str, *, index_price: Decimal, mark_price: Decimal, now_ms: int | None = None
    ) -> None:
        """Set index and mark price (quote currency, positive, kept to 1e-8).

        Stops that watch them fire at ``now_ms``; without it, with the next order or trade.
        """
        if not all(price.is_finite() and price > 0 for price in (index_price, mark_price)):
            raise ValidationError(f"{symbol} reference prices must be positive")
        contract = self._contracts[symbol]
        contract.index = money(index_price)
        contract.mark = money(mark_price)
        if now_ms is not None:
            contract.sample_premium(now_ms)
            self._aftermath.fire_stops(contract, now_ms)
            self._aftermath.liquidate(now_ms)

    def liquidations(self, symbol: str, *, after: int = 0) -> list[LiquidationRecord]:
        """Return recent liquidations in a contract, those numbered above ``after``."""
        recent = self._liquidation.recent
        return [each for each in recent if each.symbol == symbol and each.number > after]

    def settle_funding(self, symbol: str, rate: Decimal, *, now_ms: int) -> None:
        """Settle funding of every position: longs pay ``rate`` times value when it is positive.

        Payments are rounded half-even to 1e-8.
        """
        if not rate.is_finite():
            raise ValidationError(f"{symbol} funding rate must be finite, was {rate}")
        contract = self._contracts[symbol]
        step = MatchingStep(now_ms)
        for account in self._accounts.values():
            for stake in account.stakes_of(contract):
                if stake.position.lots:
                    self._settlement.fund(account, stake, rate=rate, step=step)
        self._tell(step)
        self._aftermath.liquidate(now_ms)

    # House flow.

    def house_limit(
        self,
        symbol: str,
        side: Side,
        price_ticks: int,
        lots: int,
        *,
        now_ms: int,
        post_only: bool = False,
        in_front: bool = False,
    ) -> int | None:
        """Place a limit order of the house; return its id if some of it rests.

        With ``post_only`` a crossing order does nothing and returns None; with ``in_front`` one
        that does not cross rests before all others at its price.
        """
        assert price_ticks > 0
        assert lots > 0
        contract = self._contracts[symbol]
        if not contract.book.crosses(side, price_ticks):
            return self._house.rest(
                contract, side, price_ticks=price_ticks, lots=lots, in_front=in_front
            )
        if post_only:
            return None
        step = MatchingStep(now_ms)
        house_id = self._house.limit(contract, side, price_ticks=price_ticks, lots=lots, step=step)
        self._aftermath.conclude(contract, step)
        return house_id

    def house_market(
        self, symbol: str, side: Side, lots: int, *, now_ms: int, limit_ticks: int | None = None
    ) -> int:
        """Trade at once up to ``limit_ticks`` (None: any price); return the filled lots."""
        assert lots > 0
        contract = self._contracts[symbol]
        step = MatchingStep(now_ms)
        filled = self._house.take(contract, side, lots=lots, limit_ticks=limit_ticks, step=step)
        self._aftermath.conclude(contract, step)
        return filled

    def house_cancel(self, symbol: str, house_id: int) -> bool:
        """Take a house order out; return False when it is already gone."""
        return self.house_resize(symbol, house_id, 0)

    def house_resize(self, symbol: str, house_id: int, lots: int) -> bool:
        """Set the size of a house order in place, 0 removes it; False when it is gone.

        It keeps its time priority even when it grows.
        """
        book = self._contracts[symbol].book
        order = book.get(house_id)
        if order is None or order.owner != HOUSE:
            return False
        return book.resize(house_id, lots)

    def house_lots(self, symbol: str, house_id: int) -> int:
        """Return what rests of a house order, 0 when it is gone."""
        order = self._contracts[symbol].book.get(house_id)
        return order.lots if order is not None and order.owner == HOUSE else 0

    def recorded_trade(
        self,
        symbol: str,
        taker_side: Side,
        price_ticks: int,
        lots: int,
        *,
        now_ms: int,
        at_level: bool = True,
    ) -> None:
        """Play one recorded trade against the book.

        One public trade of the recorded size is printed. Account orders at better prices than
        ``price_ticks`` fill first at their own price; then, with ``at_level``, the queue at
        ``price_ticks`` is consumed in order, house orders absorbing their share. No more than
        ``lots`` is filled.
        """
        assert lots > 0
        contract = self._contracts[symbol]
        step = MatchingStep(now_ms)
        self._house.recorded(
            contract,
            taker_side,
            price_ticks=price_ticks,
            lots=lots,
            at_level=at_level,
            step=step,
        )
        self._aftermath.conclude(contract, step)
