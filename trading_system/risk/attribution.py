"""Where the profit of a run came from: the spread that was earned, or what the inventory did.

A fill at ``price`` while the mid was ``mid`` earns ``sign * (mid - price) * quantity`` at once
(*spread capture*, negative for a taker); from then on its quantity gains or loses with the mark
against that mid (*inventory*). The sum over all fills is the gross profit, whatever the mids were:
``sum(sign * (mid - price) * q) + sum(sign * q * (mark - mid)) = sum(sign * q * (mark - price))``.
Signs: buy +1, sell -1; profits positive, fees positive when paid, funding positive when received.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from trading_system.domain.errors import InvariantViolated
from trading_system.domain.orders import Fill

_ZERO = Decimal(0)
_SUMMED = (
    "spread_capture",
    "inventory",
    "funding",
    "maker_value",
    "taker_value",
    "maker_fees",
    "taker_fees",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfitSplit:
    """Profit of one symbol, or of all together, in its parts; quote currency.

    Parameters
    ----------
    spread_capture, inventory, fees, funding : Decimal
        See the module; fees are paid, funding is received.
    maker_quantity, taker_quantity : Decimal
        Filled as maker and as taker, base currency; zero in a sum over several symbols.
    maker_value, taker_value : Decimal
        The same at the fill prices, quote currency.
    maker_fees, taker_fees : Decimal
        Fees by kind; they add up to ``fees``.
    fills, unmeasured : int
        Fills, and those of them at which no mid was known: their spread capture is zero.
    """

    symbol: str
    spread_capture: Decimal = _ZERO
    inventory: Decimal = _ZERO
    funding: Decimal = _ZERO
    maker_quantity: Decimal = _ZERO
    taker_quantity: Decimal = _ZERO
    maker_value: Decimal = _ZERO
    taker_value: Decimal = _ZERO
    maker_fees: Decimal = _ZERO
    taker_fees: Decimal = _ZERO
    fills: int = 0
    unmeasured: int = 0

    @property
    def fees(self) -> Decimal:
        """Fees paid."""
        return self.maker_fees + self.taker_fees

    @property
    def gross(self) -> Decimal:
        """Profit before fees and funding."""
        return self.spread_capture + self.inventory

    @property
    def total(self) -> Decimal:
        """Profit after fees and funding."""
        return self.gross - self.fees + self.funding


@dataclass(slots=True)
class _Kind:
    quantity: Decimal = _ZERO
    value: Decimal = _ZERO
    fees: Decimal = _ZERO


@dataclass(slots=True)
class _Account:
    """One symbol's sums; ``cost_at_mid`` is signed like ``quantity``."""

    quantity: Decimal = _ZERO
    cost_at_mid: Decimal = _ZERO
    adopted: Decimal = _ZERO
    mark: Decimal = _ZERO
    spread_capture: Decimal = _ZERO
    funding: Decimal = _ZERO
    fills: int = 0
    unmeasured: int = 0
    maker: _Kind = field(default_factory=_Kind)
    taker: _Kind = field(default_factory=_Kind)

    def hold(self, quantity: Decimal, price: Decimal) -> None:
        self.quantity += quantity
        self.cost_at_mid += quantity * price


class ProfitAttribution:
    """Splits the profit of a run; fed with what the portfolio books.

    Once every symbol with a position has a mark, and both are given the same ones, the totals add
    up to :attr:`Portfolio.pnl <trading_system.risk.portfolio.Portfolio.pnl>`.
    """

    def __init__(self) -> None:
        self._accounts: dict[str, _Account] = {}

    def adopt(self, symbol: str, quantity: Decimal) -> None:
        """Take over a position (signed) that existed before this run; its first mark values it.

        Raises
        ------
        InvariantViolated
            If a position of the symbol was adopted already, or its fills were booked.
        """
        account = self._account(symbol)
        if account.fills or account.quantity or account.adopted:
            raise InvariantViolated(f"cannot adopt a {symbol} position over booked fills")
        account.adopted = quantity

    def on_fill(self, fill: Fill, mid: Decimal | None) -> None:
        """Count one booked fill.

        Parameters
        ----------
        mid : Decimal or None
            Mid of the book at the fill, quote currency. Without one the fill's own price stands
            in: nothing is captured and the fill is counted as unmeasured.
        """
        account = self._account(fill.symbol)
        reference = fill.price if mid is None else mid
        signed = fill.quantity * fill.side.sign
        account.spread_capture += signed * (reference - fill.price)
        account.hold(signed, reference)
        account.fills += 1
        account.unmeasured += mid is None
        kind = account.maker if fill.is_maker else account.taker
        kind.quantity += fill.quantity
        kind.value += fill.quantity * fill.price
        kind.fees += fill.fee
        if not account.mark:
            account.mark = reference

    def on_funding(self, symbol: str, amount: Decimal) -> None:
        """Count one booked funding settlement; a positive amount was received, quote currency."""
        self._account(symbol).funding += amount

    def mark(self, symbol: str, price: Decimal) -> None:
        """Note the newest mark price of ``symbol``; until then its first fill's mid stands in."""
        account = self._account(symbol)
        account.mark = price
        if account.adopted:
            account.hold(account.adopted, price)
            account.adopted = _ZERO

    def symbols(self) -> tuple[ProfitSplit, ...]:
        """Return the split of each symbol that was fed, in the order of its first appearance."""
        return tuple(_split(symbol, account) for symbol, account in self._accounts.items())

    def total(self) -> ProfitSplit:
        """Return the sum over all symbols; quantities of different symbols do not add up."""
        found = self.symbols()
        sums = {name: sum((getattr(one, name) for one in found), _ZERO) for name in _SUMMED}
        return ProfitSplit(
            symbol="",
            fills=sum(one.fills for one in found),
            unmeasured=sum(one.unmeasured for one in found),
            **sums,
        )

    def _account(self, symbol: str) -> _Account:
        return self._accounts.setdefault(symbol, _Account())


def _split(symbol: str, account: _Account) -> ProfitSplit:
    maker, taker = account.maker, account.taker
    return ProfitSplit(
        symbol=symbol,
        spread_capture=account.spread_capture,
        inventory=account.quantity * account.mark - account.cost_at_mid,
        funding=account.funding,
        maker_quantity=maker.quantity,
        taker_quantity=taker.quantity,
        maker_value=maker.value,
        taker_value=taker.value,
        maker_fees=maker.fees,
        taker_fees=taker.fees,
        fills=account.fills,
        unmeasured=account.unmeasured,
    )
