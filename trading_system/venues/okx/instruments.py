"""Instruments of OKX and what one of their sizes is worth.

Books, trades and orders of a SWAP or of FUTURES count **contracts**, those of SPOT base currency.
With m = contract value x multiplier:

======== ================== ================== ====================
type     one contract is    base quantity      quote notional
======== ================== ================== ====================
linear   m base units       contracts x m      contracts x m x price
inverse  m quote units      contracts x m / p  contracts x m
spot     one base unit      size               size x price
======== ================== ================== ====================
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import ROUND_FLOOR, Decimal
from enum import StrEnum

from trading_system.domain.errors import ValidationError

Levels = list[tuple[float, float]]
"""(price, size) of one side of a book, best first."""


class OkxInstType(StrEnum):
    """Kinds of instruments read here; options are not."""

    SPOT = "SPOT"
    SWAP = "SWAP"
    FUTURES = "FUTURES"


class OkxContract(StrEnum):
    """What a contract's value is counted in."""

    NONE = "none"
    LINEAR = "linear"
    INVERSE = "inverse"


@dataclass(frozen=True, slots=True, kw_only=True)
class OkxInstrument:
    """One instrument.

    Parameters
    ----------
    inst_id : str
        OKX's name, for example ``BTC-USDT-SWAP``.
    inst_type : OkxInstType
        SPOT, SWAP or FUTURES.
    base, quote : str
        Currencies of the price; for contracts those of the underlying.
    contract_value, multiplier : Decimal
        ``ctVal`` and ``ctMult``, 1 for SPOT; their product is one contract's worth.
    contract : OkxContract
        Whether that is base currency (LINEAR) or quote currency (INVERSE).
    tick, lot, min_size : Decimal
        Grid of prices (quote currency) and sizes, and smallest order (contracts; SPOT: base).
    state : str
        OKX's word, ``live`` when it trades.

    Raises
    ------
    ValidationError
        If a number is not positive, or SPOT has a contract type, or a contract has none.
    """

    inst_id: str
    inst_type: OkxInstType
    base: str
    quote: str
    tick: Decimal
    lot: Decimal
    min_size: Decimal
    contract_value: Decimal = Decimal(1)
    multiplier: Decimal = Decimal(1)
    contract: OkxContract = OkxContract.NONE
    state: str = "live"
    _ratio: tuple[float, float] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        numbers = (self.tick, self.lot, self.min_size, self.contract_value, self.multiplier)
        if not all(number.is_finite() and number > 0 for number in numbers):
            raise ValidationError(f"{self.inst_id}: grid and contract value must be above 0")
        if (self.inst_type is OkxInstType.SPOT) != (self.contract is OkxContract.NONE):
            raise ValidationError(f"{self.inst_id}: {self.inst_type} cannot be {self.contract}")
        if self.inst_type is OkxInstType.SPOT and self.contract_unit != 1:
            raise ValidationError(f"{self.inst_id}: SPOT has no contract value")
        # As a fraction: 30.1 / 100 is rounded once, 30.1 * 0.01 twice.
        numerator, denominator = self.contract_unit.as_integer_ratio()
        object.__setattr__(self, "_ratio", (float(numerator), float(denominator)))

    @property
    def contract_unit(self) -> Decimal:
        """Worth of one contract: base currency (LINEAR, SPOT) or quote currency (INVERSE)."""
        return self.contract_value * self.multiplier

    @property
    def is_live(self) -> bool:
        """Whether the instrument trades now."""
        return self.state == "live"

    def base_quantity(self, contracts: Decimal, price: Decimal) -> Decimal:
        """Return the base currency of ``contracts`` at ``price`` (used by INVERSE only).

        Raises
        ------
        ValidationError
            If ``price`` is not finite and positive, or ``contracts`` not finite.
        """
        _check(contracts, price)
        worth = contracts * self.contract_unit
        return worth / price if self.contract is OkxContract.INVERSE else worth

    def quote_notional(self, contracts: Decimal, price: Decimal) -> Decimal:
        """Return the quote currency of ``contracts`` at ``price`` (not used by INVERSE).

        Raises
        ------
        ValidationError
            As for :meth:`base_quantity`.
        """
        _check(contracts, price)
        worth = contracts * self.contract_unit
        return worth if self.contract is OkxContract.INVERSE else worth * price

    def contracts_for(self, base_qty: Decimal, price: Decimal) -> Decimal:
        """Return the contracts that make ``base_qty`` of base currency, not rounded.

        Raises
        ------
        ValidationError
            As for :meth:`base_quantity`.
        """
        _check(base_qty, price)
        worth = base_qty * price if self.contract is OkxContract.INVERSE else base_qty
        return worth / self.contract_unit

    def contracts_for_quote(self, notional: Decimal, price: Decimal) -> Decimal:
        """Return the contracts that are worth ``notional`` of quote currency, not rounded.

        Raises
        ------
        ValidationError
            As for :meth:`base_quantity`.
        """
        _check(notional, price)
        return self.contracts_for(notional / price, price)

    def floor_to_lot(self, contracts: Decimal) -> Decimal:
        """Return ``contracts`` rounded down to the grid of sizes.

        Raises
        ------
        ValidationError
            If what is left is below the smallest order.
        """
        if not contracts.is_finite():
            raise ValidationError(f"a size must be finite, was {contracts}")
        lots = (contracts / self.lot).to_integral_value(rounding=ROUND_FLOOR)
        floored = lots * self.lot
        if floored < self.min_size:
            raise ValidationError(
                f"{self.inst_id}: {contracts} is below the smallest order of {self.min_size}"
            )
        return floored

    def base_size(self, size: float, price: float) -> float:
        """Return a size of a book or trade in base currency, in floating point."""
        numerator, denominator = self._ratio
        if self.contract is OkxContract.INVERSE:
            denominator *= price
        return size * numerator / denominator

    def base_levels(self, levels: Iterable[tuple[float, float]]) -> Levels:
        """Return (price, size) rows with the sizes in base currency instead of contracts."""
        up, down = self._ratio
        if self.contract is OkxContract.INVERSE:
            return [(price, size * up / (down * price)) for price, size in levels]
        if up == down:
            return list(levels)
        return [(price, size * up / down) for price, size in levels]

    def base_volume(self, *, vol24h: Decimal, vol_ccy24h: Decimal) -> Decimal:
        """Return the base currency traded in 24 h from a ticker's two volumes.

        Contracts: ``vol24h`` counts contracts and ``volCcy24h`` base currency. SPOT: ``vol24h``
        is base and ``volCcy24h`` quote currency.
        """
        return vol24h if self.inst_type is OkxInstType.SPOT else vol_ccy24h


def _check(amount: Decimal, price: Decimal) -> None:
    if not amount.is_finite():
        raise ValidationError(f"an amount must be finite, was {amount}")
    if not (price.is_finite() and price > 0):
        raise ValidationError(f"a price must be finite and positive, was {price}")
