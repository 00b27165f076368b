"""One account: its wallet, what it has at stake per contract, its live orders, its histories.

The three refer to each other: an account holds stakes, a stake its orders, an order both.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from trading_system.domain.instruments import Category
from trading_system.domain.orders import Side
from trading_system.simulation.accounts.fees import linear_rates
from trading_system.simulation.accounts.histories import Histories
from trading_system.simulation.accounts.modes import PositionModes
from trading_system.simulation.accounts.positions import Position
from trading_system.simulation.conditions import StopKind
from trading_system.simulation.contracts import Contract, money
from trading_system.simulation.matching.book import RestingOrder
from trading_system.simulation.records import (
    AccountSpec,
    CoinView,
    DcpProduct,
    OrderRecord,
)

_ZERO = Decimal(0)
_OPENING = {1: Side.BUY, 2: Side.SELL}


class LiveOrder:
    """An order that is not final: its record and, while it rests, its place in the book.

    ``is_counted`` says whether the account's open orders and margins include it.
    """

    __slots__ = ("account", "is_counted", "record", "resting", "stake")

    def __init__(self, record: OrderRecord, account: Account, stake: Stake) -> None:
        self.record = record
        self.account = account
        self.stake = stake
        self.resting: RestingOrder | None = None
        self.is_counted = False

    @property
    def category(self) -> Category:
        """Which kind of listing it trades."""
        return self.stake.contract.instrument.category

    def is_within(self, contract: Contract | None) -> bool:
        """Return whether it belongs to a listing; None stands for all contracts, not spot."""
        own = self.stake.contract
        return not own.is_spot if contract is None else own is contract


class Stake:
    """Position, leverage and resting orders of one account in one contract.

    Parameters
    ----------
    contract : Contract
        What is traded.
    leverage : Decimal
        Initial margin is value divided by it.
    taker_rate : Decimal
        Fee rate that margins reserve for closing.

    Attributes
    ----------
    position_idx : int
        0 one-way, 1 long and 2 short side of a hedged contract.
    created_ms, updated_ms : int
        When an order first and last touched it, 0 before.
    is_liquidating : bool
        Whether the venue is closing the position.
    stops : dict of StopKind to LiveOrder
        Untriggered stops of the position.
    """

    __slots__ = (
        "_lots",
        "_ticklots",
        "contract",
        "created_ms",
        "is_liquidating",
        "leverage",
        "orders",
        "position",
        "position_idx",
        "reduce_only",
        "stops",
        "taker_rate",
        "updated_ms",
    )

    def __init__(
        self, contract: Contract, *, leverage: Decimal, taker_rate: Decimal, position_idx: int = 0
    ) -> None:
        self.contract = contract
        self.position_idx = position_idx
        self.is_liquidating = False
        self.leverage = leverage
        self.taker_rate = taker_rate
        self.created_ms = 0
        self.updated_ms = 0
        self.position = Position()
        self.orders: dict[str, LiveOrder] = {}
        self.reduce_only: dict[str, LiveOrder] = {}
        self.stops: dict[StopKind, LiveOrder] = {}
        self._lots = {Side.BUY: 0, Side.SELL: 0}
        self._ticklots = {Side.BUY: 0, Side.SELL: 0}

    def closes(self, side: Side) -> bool:
        """Whether every order of ``side`` closes: those against one side of a hedged contract."""
        return self.position_idx != 0 and side is not _OPENING[self.position_idx]

    @property
    def is_idle(self) -> bool:
        """Whether there is neither a position nor a resting order."""
        return not self.position.lots and not self.orders

    def touch(self, now_ms: int) -> None:
        """Note that an order, a fill or a settlement touched the stake."""
        self.created_ms = self.created_ms or now_ms
        self.updated_ms = now_ms

    def reducible(self, side: Side) -> int:
        """Return how many lots an order of ``side`` could close."""
        lots = self.position.lots
        return max(0, -lots if side is Side.BUY else lots)

    def add(self, live: LiveOrder) -> None:
        """Count a resting order."""
        record = live.record
        self.orders[record.order_id] = live
        if record.reduce_only:
            self.reduce_only[record.order_id] = live
        else:
            self._lots[record.side] += record.leaves_lots
            self._ticklots[record.side] += record.leaves_lots * record.price_ticks

    def discard(self, live: LiveOrder) -> None:
        """Forget a resting order before its remaining lots change to 0."""
        record = live.record
        del self.orders[record.order_id]
        if record.reduce_only:
            del self.reduce_only[record.order_id]
        else:
            self.shrink(record, record.leaves_lots)

    def shrink(self, record: OrderRecord, lots: int) -> None:
        """Count that ``lots`` of a resting order no longer rest."""
        if not record.reduce_only:
            self._lots[record.side] -= lots
            self._ticklots[record.side] -= lots * record.price_ticks

    def replace(self, record: OrderRecord, *, price_ticks: int, lots: int) -> None:
        """Give a counted order another price and another total size."""
        self.shrink(record, record.leaves_lots)
        record.price_ticks = price_ticks
        record.lots = lots
        record.leaves_lots = lots - record.cum_lots
        self.shrink(record, -record.leaves_lots)

    def order_margin(self) -> Decimal:
        """Return the margin of all resting orders, quote currency.

        Reduce-only orders cost nothing, nor does the part of the other orders, oldest first, that
        can only reduce the position.
        """
        ticklots = sum(self._ticklots.values())
        if not ticklots:
            return _ZERO
        return self.margin_of(ticklots - self._exempt())

    def entry_margin(self, side: Side, *, lots: int, ticklots: int) -> Decimal:
        """Return the margin that a new order behind all resting ones would need.

        Parameters
        ----------
        side : Side
            Side of the new order.
        lots, ticklots : int
            Its size and its expected cost, in ticks times lots.
        """
        covered = min(lots, max(0, self.reducible(side) - self._lots[side]))
        if covered == lots:
            return _ZERO
        value = self.contract.unit * ticklots * (lots - covered) / lots
        return money(value / self.leverage + value * self.taker_rate)

    def margin_of(self, ticklots: int) -> Decimal:
        """Return the initial margin of an order value given in ticks times lots."""
        value = self.contract.unit * ticklots
        return money(value / self.leverage + value * self.taker_rate)

    def exposure(self, side: Side, *, ticklots: int = 0) -> Decimal:
        """Return the position's value once all orders of ``side`` and ``ticklots`` more fill."""
        value = self.contract.value(self.position.lots * side.sign)
        return value + self.contract.unit * (self._ticklots[side] + ticklots)

    def hold(self, live: LiveOrder) -> None:
        """Set aside what a waiting order needs: nothing in a contract."""

    def let_go(self, live: LiveOrder) -> None:
        """Free what was set aside for a waiting order."""

    def locked_quote(self) -> Decimal:
        """Return the quote currency set aside to pay for coins: nothing in a contract."""
        return _ZERO

    def coin_view(self) -> CoinView | None:
        """Return the coin held: none in a contract."""
        return None

    def position_margins(self) -> tuple[Decimal, Decimal]:
        """Return (initial, maintenance) margin of the position at the mark price."""
        if not self.position.lots:
            return _ZERO, _ZERO
        contract = self.contract
        value = contract.value(abs(self.position.lots))
        closing = value * self.taker_rate
        return (
            money(value / self.leverage + closing),
            money(value * contract.maintenance_rate + closing),
        )

    def unrealised(self) -> Decimal:
        """Return the profit of closing the position at the mark price, before fees."""
        position = self.position
        if not position.lots:
            return _ZERO
        value = self.contract.value(position.lots)
        return value - position.entry_value if position.lots > 0 else value + position.entry_value

    def _exempt(self) -> int:
        # Ticks times lots of the orders that only reduce the position, oldest order first.
        lots = self.position.lots
        side = Side.SELL if lots > 0 else Side.BUY
        room = abs(lots)
        if self._lots[side] <= room:
            return self._ticklots[side] if room else 0
        exempt = 0
        for live in self.orders.values():
            if not room:
                break
            record = live.record
            if record.side is side and not record.reduce_only:
                covered = min(room, record.leaves_lots)
                exempt += covered * record.price_ticks
                room -= covered
        return exempt


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
        self.traded = _ZERO
        self.orders: dict[str, LiveOrder] = {}
        self.stops: dict[str, LiveOrder] = {}
        self.histories = Histories()
        self.modes = PositionModes()
        self.dcp_windows_s: dict[DcpProduct, int] = {}
        self.insurance = _ZERO
        self._rejections: list[str] = []
        self.stakes: dict[tuple[str, int], Stake] = {}
        self._stakes_of: dict[str, list[Stake]] = {}

    def stake(self, contract: Contract, position_idx: int = 0) -> Stake:
        """Return a stake in ``contract``, created at the first touch."""
        key = (contract.symbol, position_idx)
        stake = self.stakes.get(key)
        if stake is None:
            kin = self._stakes_of.setdefault(contract.symbol, [])
            highest = contract.instrument.max_leverage
            stake = Stake(
                contract,
                leverage=kin[0].leverage if kin else min(self.spec.leverage, highest),
                taker_rate=self.taker_rate,
                position_idx=position_idx,
            )
            self.stakes[key] = stake
            kin.append(stake)
        return stake

    def adopt(self, stake: Stake) -> None:
        """Use ``stake`` for a contract that has none yet."""
        self.stakes[stake.contract.symbol, stake.position_idx] = stake
        self._stakes_of.setdefault(stake.contract.symbol, []).append(stake)

    def stake_for(self, contract: Contract, position_idx: int) -> Stake:
        """Return the stake that an order with ``position_idx`` addresses.

        Where the index contradicts the position mode it is another one: compare the indices.
        """
        indices = self.modes.indices(contract)
        return self.stake(contract, position_idx if position_idx in indices else indices[0])

    def stakes_of(self, contract: Contract) -> Sequence[Stake]:
        """Return the stakes in ``contract`` touched so far, of any position index."""
        return self._stakes_of.get(contract.symbol, ())

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
        self,
        *,
        realised: Decimal = _ZERO,
        fee: Decimal = _ZERO,
        funding: Decimal = _ZERO,
        traded: Decimal = _ZERO,
        insurance: Decimal = _ZERO,
    ) -> None:
        """Change the wallet; the fee is positive when paid, all else when received."""
        self.cash += realised - fee + funding + traded + insurance
        self.insurance += insurance
        self.realised += realised
        self.fees += fee
        self.funding += funding
        self.traded += traded

    def reject_next(self, reason: str, count: int) -> None:
        """Let the next ``count`` accepted orders be rejected in matching."""
        self._rejections = [reason] * count

    def next_rejection(self) -> str:
        """Return why the order just accepted is rejected, empty when it is not."""
        return self._rejections.pop() if self._rejections else ""

    def available(self) -> Decimal:
        """Return the balance that can back new orders, quote currency; may be negative."""
        total = self.cash
        for stake in self.stakes.values():
            if not stake.is_idle:
                total += stake.unrealised() - stake.position_margins()[0] - stake.order_margin()
                total -= stake.locked_quote()
        return total

    def spendable(self) -> Decimal:
        """Return the quote currency that can be paid for coins: profit not yet made cannot."""
        locked = sum((stake.locked_quote() for stake in self.stakes.values()), _ZERO)
        return min(self.cash - locked, self.available())
