"""One account: unified wallet in the settlement coin, a stake per contract, histories."""

from __future__ import annotations

from decimal import Decimal

from trading_system.simulation.accounts.fees import linear_rates
from trading_system.simulation.accounts.histories import Histories
from trading_system.simulation.accounts.stakes import LiveOrder, Stake
from trading_system.simulation.contracts import Contract
from trading_system.simulation.records import AccountSpec, OrderRecord, WalletView

_ZERO = Decimal(0)


class Account:
    """State of one real account; cross margin over all its contracts.

    Parameters
    ----------
    spec : AccountSpec
        How it starts.
    """

    def __init__(self, spec: AccountSpec) -> None:
        self.spec = spec
        self.account_id = spec.account_id
        self.taker_rate, self.maker_rate = linear_rates(spec.vip_level)
        self.cash = spec.balance
        self.realised = _ZERO
        self.fees = _ZERO
        self.funding = _ZERO
        self.orders: dict[str, LiveOrder] = {}
        self.stops: dict[str, LiveOrder] = {}
        self.histories = Histories()
        self.stakes: dict[str, Stake] = {}

    def stake(self, contract: Contract) -> Stake:
        """Return the account's stake in ``contract``, created at the first touch."""
        stake = self.stakes.get(contract.symbol)
        if stake is None:
            stake = Stake(
                contract,
                leverage=min(self.spec.leverage, contract.instrument.max_leverage),
                taker_rate=self.taker_rate,
            )
            self.stakes[contract.symbol] = stake
        return stake

    def find_live(self, order_id: str, link_id: str) -> LiveOrder | None:
        """Return the order that is not final; ``order_id`` wins over ``link_id``."""
        key = order_id or self.histories.links.order_id(link_id)
        return self.orders.get(key) or self.stops.get(key)

    def find(self, order_id: str, link_id: str) -> OrderRecord | None:
        """Return an order, final or not; ``order_id`` wins over ``link_id``."""
        key = order_id or self.histories.links.order_id(link_id)
        live = self.orders.get(key) or self.stops.get(key)
        return self.histories.orders.get(key) if live is None else live.record

    def add_order(self, live: LiveOrder) -> None:
        """Count an order that has come to rest; again after an amendment is harmless."""
        if not live.is_counted:
            live.is_counted = True
            self.orders[live.record.order_id] = live
            live.stake.add(live)

    def discard_order(self, live: LiveOrder) -> None:
        """Forget an order, before its remaining lots are set to 0."""
        if live.is_counted:
            live.is_counted = False
            del self.orders[live.record.order_id]
            live.stake.discard(live)

    def take(self, live: LiveOrder, lots: int) -> None:
        """Reduce the remaining lots of an order."""
        if live.is_counted:
            live.stake.shrink(live.record, lots)
        live.record.leaves_lots -= lots

    def credit(
        self, *, realised: Decimal = _ZERO, fee: Decimal = _ZERO, funding: Decimal = _ZERO
    ) -> None:
        """Change the wallet; the fee is positive when paid, funding when received."""
        self.cash += realised - fee + funding
        self.realised += realised
        self.fees += fee
        self.funding += funding

    def available(self) -> Decimal:
        """Return the balance that can back new orders, quote currency; may be negative."""
        total = self.cash
        for stake in self.stakes.values():
            if not stake.is_idle:
                total += stake.unrealised() - stake.position_margins()[0] - stake.order_margin()
        return total

    def wallet(self) -> WalletView:
        """Return a snapshot of the wallet."""
        unrealised = position_margin = maintenance = order_margin = _ZERO
        for stake in self.stakes.values():
            if not stake.is_idle:
                initial, required = stake.position_margins()
                unrealised += stake.unrealised()
                position_margin += initial
                maintenance += required
                order_margin += stake.order_margin()
        equity = self.cash + unrealised
        return WalletView(
            account_id=self.account_id,
            coin="USDT",
            start_balance=self.spec.balance,
            wallet_balance=self.cash,
            realised=self.realised,
            fees=self.fees,
            funding=self.funding,
            unrealised=unrealised,
            equity=equity,
            order_margin=order_margin,
            position_margin=position_margin,
            maintenance_margin=maintenance,
            available=equity - position_margin - order_margin,
        )
