"""What orders wait for and bring along: triggers, take profits, stop losses, and wishes for them.

Integers are ticks and lots of the symbol's instrument, decimals are in quote currency.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum


class StopKind(Enum):
    """Bybit ``stopOrderType`` of an order that waits for a price.

    ``STOP`` is a conditional order of its own, ``TPSL`` that of a spot holding; the others close
    a position, the first three all of it.
    """

    STOP_LOSS = "StopLoss"
    TAKE_PROFIT = "TakeProfit"
    TRAILING_STOP = "TrailingStop"
    PARTIAL_STOP_LOSS = "PartialStopLoss"
    PARTIAL_TAKE_PROFIT = "PartialTakeProfit"
    STOP = "Stop"
    TPSL = "tpslOrder"

    @property
    def is_partial(self) -> bool:
        """Whether it closes a part of a position."""
        return self in {StopKind.PARTIAL_STOP_LOSS, StopKind.PARTIAL_TAKE_PROFIT}

    @property
    def is_whole(self) -> bool:
        """Whether it closes a whole position; each side of a position has one of a kind."""
        return self in {StopKind.STOP_LOSS, StopKind.TAKE_PROFIT, StopKind.TRAILING_STOP}

    @property
    def takes_profit(self) -> bool:
        """Whether it fires when the position wins."""
        return self in {StopKind.TAKE_PROFIT, StopKind.PARTIAL_TAKE_PROFIT}


class TriggerBy(Enum):
    """The price that a trigger watches, as Bybit spells it."""

    LAST = "LastPrice"
    MARK = "MarkPrice"
    INDEX = "IndexPrice"


class StopScope(Enum):
    """Bybit ``tpslMode``: whether a take profit or stop loss closes the position or a part."""

    FULL = "Full"
    PARTIAL = "Partial"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trail:
    """How a trailing stop follows the last price.

    ``best_ticks`` is the best price since it became active, 0 before; it becomes active at
    ``active_ticks``, at once when that is 0.
    """

    distance_ticks: int
    active_ticks: int = 0
    best_ticks: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """When a waiting order goes to the market.

    It fires when the watched price is at or above ``price_ticks`` if ``on_rise``, else at or
    below; a trailing stop that is not yet active has 0 there and does not fire. Of the stops with
    the same ``pair_id`` (not empty) one fires. ``parent_id`` and ``parent_link_id`` name the order
    that brought it.
    """

    kind: StopKind
    price_ticks: int
    by: TriggerBy
    on_rise: bool
    trail: Trail | None = None
    pair_id: str = ""
    parent_id: str = ""
    parent_link_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """A take profit or stop loss that an order brings to its position.

    ``limit_ticks`` is the price of the order it becomes, 0 for a market order.
    """

    price_ticks: int
    by: TriggerBy
    limit_ticks: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerRequest:
    """The condition of a conditional order.

    ``on_rise`` None derives the direction from the present price (quote currency).
    """

    price: Decimal
    by: TriggerBy = TriggerBy.LAST
    on_rise: bool | None = None
    kind: StopKind = StopKind.STOP


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardRequest:
    """A take profit or stop loss for the position that an order opens.

    Prices are in quote currency; ``price`` 0 means none; ``limit_price`` None closes at market.
    """

    price: Decimal
    by: TriggerBy = TriggerBy.LAST
    limit_price: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardChange:
    """What an amendment changes about an order's take profit or stop loss; None leaves it.

    Prices are in quote currency; ``price`` 0 removes it.
    """

    price: Decimal | None = None
    by: TriggerBy | None = None
    limit_price: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StopChange:
    """A wish for one stop of a position; ``price`` 0 removes it (quote currency).

    Parameters
    ----------
    kind : StopKind
        Not ``STOP`` nor ``TPSL``.
    price : Decimal
        Trigger price; of a trailing stop its distance from the best price.
    quantity : Decimal or None
        Size in base currency, of partial stops only.
    limit_price : Decimal or None
        Price of the limit order it becomes, of partial stops only; None is a market order.
    active_price : Decimal or None
        Last price from which on a trailing stop follows; None is at once.
    """

    kind: StopKind
    price: Decimal
    by: TriggerBy = TriggerBy.LAST
    quantity: Decimal | None = None
    limit_price: Decimal | None = None
    active_price: Decimal | None = None


class SlippageUnit(Enum):
    """Bybit ``slippageToleranceType`` of a market order."""

    TICKS = "TickSize"
    PERCENT = "Percent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Slippage:
    """How far from the best opposite price a market order may trade, in ticks or per cent."""

    unit: SlippageUnit
    value: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class BookPrice:
    """A limit price taken from the book: Bybit ``bboSideType`` and ``bboLevel`` (1 is best)."""

    is_own_side: bool
    level: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Amendment:
    """What an amend asks for; None leaves a value as it is.

    Prices are in quote currency, ``quantity`` is the new total in base currency.
    """

    price: Decimal | None = None
    quantity: Decimal | None = None
    trigger_price: Decimal | None = None
    trigger_by: TriggerBy | None = None
    take_profit: GuardChange | None = None
    stop_loss: GuardChange | None = None
