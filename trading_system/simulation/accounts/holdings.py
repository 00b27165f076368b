"""Coins of one account in one spot pair: bought, sold and locked, never borrowed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal

from typing_extensions import override

from trading_system.domain.orders import Side
from trading_system.simulation.accounts.account import Account, LiveOrder, Stake
from trading_system.simulation.accounts.fees import spot_rates
from trading_system.simulation.conditions import StopKind
from trading_system.simulation.contracts import Contract
from trading_system.simulation.records import AccountSpec, CoinView, OrderRecord

_ZERO = Decimal(0)


class Holding(Stake):
    """What an account has of a pair's base coin, and its resting orders in the pair.

    It takes the place of a position's stake: there is no position, no leverage and no margin.
    Resting buy orders lock their value in the quote coin, resting sell orders their size in the
    base coin.

    Parameters
    ----------
    contract : Contract
        The listed pair.
    taker_rate, maker_rate : Decimal
        Fee rates, as shares of what the trade brings in.

    Attributes
    ----------
    balance : Decimal
        Base coin owned, locked or not.
    """

    __slots__ = ("_held", "balance", "maker_rate")

    def __init__(self, contract: Contract, *, taker_rate: Decimal, maker_rate: Decimal) -> None:
        super().__init__(contract, leverage=Decimal(1), taker_rate=taker_rate)
        self.maker_rate = maker_rate
        self.balance = _ZERO
        self._held: dict[str, LiveOrder] = {}

    @property
    def coin(self) -> str:
        """The base coin."""
        return self.contract.instrument.base_coin

    @property
    @override
    def is_idle(self) -> bool:
        """Whether no order locks anything."""
        return not (self.orders or self._held)

    @property
    def locked(self) -> Decimal:
        """Base coin that backs sell orders."""
        waiting = self._waiting(Side.SELL, lambda record: Decimal(record.leaves_lots))
        return self.contract.instrument.qty_step * (self._lots[Side.SELL] + waiting)

    @property
    def free(self) -> Decimal:
        """Base coin that a new sell order may use."""
        return self.balance - self.locked

    @override
    def order_margin(self) -> Decimal:
        """Return nothing: what resting orders need is locked, not margin."""
        return _ZERO

    @override
    def locked_quote(self) -> Decimal:
        """Return what buy orders lock, quote currency."""
        waiting = self._waiting(Side.BUY, self._cost)
        return self.contract.unit * self._ticklots[Side.BUY] + waiting

    @override
    def hold(self, live: LiveOrder) -> None:
        """Lock what a waiting TP/SL order needs; other conditional orders lock nothing."""
        trigger = live.record.trigger
        if trigger is not None and trigger.kind is StopKind.TPSL:
            self._held[live.record.order_id] = live

    @override
    def let_go(self, live: LiveOrder) -> None:
        """Unlock what a waiting order needed."""
        self._held.pop(live.record.order_id, None)

    def rate(self, *, is_maker: bool) -> Decimal:
        """Return the fee rate of a fill."""
        return self.maker_rate if is_maker else self.taker_rate

    @override
    def coin_view(self) -> CoinView:
        """Return a snapshot of the coin at its index price."""
        return CoinView(
            coin=self.coin, balance=self.balance, locked=self.locked, price=self.contract.index
        )

    def _waiting(self, side: Side, need: Callable[[OrderRecord], Decimal]) -> Decimal:
        # Of a pair one order can fire, so what the larger one needs is enough for both.
        needs: dict[str, Decimal] = {}
        for live in self._held.values():
            record = live.record
            if record.side is side:
                assert record.trigger is not None
                key = record.trigger.pair_id or record.order_id
                needs[key] = max(needs.get(key, _ZERO), need(record))
        return sum(needs.values(), _ZERO)

    def _cost(self, record: OrderRecord) -> Decimal:
        # Of a market order the trigger price is the best guess.
        if record.quote_amount is not None:
            return record.quote_amount
        assert record.trigger is not None
        ticks = record.price_ticks or record.trigger.price_ticks
        return self.contract.unit * (ticks * record.leaves_lots)


def open_account(spec: AccountSpec, contracts: Iterable[Contract]) -> Account:
    """Return a fresh account with an empty holding in every spot pair among ``contracts``."""
    account = Account(spec)
    taker_rate, maker_rate = spot_rates(spec.vip_level)
    for contract in contracts:
        if contract.is_spot:
            account.adopt(Holding(contract, taker_rate=taker_rate, maker_rate=maker_rate))
    return account
