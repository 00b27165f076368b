"""The venue's instruments as OKX lists them: perpetual swaps counted in contracts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from types import MappingProxyType

from trading_system.domain.instruments import Category, Instrument, decimal_places, plain

_KNOWN_VALUES: Mapping[str, Decimal] = MappingProxyType(
    {"BTC": Decimal("0.01"), "ETH": Decimal("0.1"), "SOL": Decimal(1)}
)
_LOTS_PER_CONTRACT = 10
_EIGHT = Decimal("1e-8")


class SwapContract:
    """One linear swap: names, contract value, and numbers as OKX spells them.

    Coins without a known contract value get ten of the venue's quantity steps per contract, so
    that every quantity of the venue is a whole number of ``lot_size`` here.

    Parameters
    ----------
    instrument : Instrument
        The venue's contract; its quantities are in base currency.
    number : int
        Serves as ``instIdCode``.

    Attributes
    ----------
    family, inst_id : str
        For example ``BTC-USDT`` (also the name of the index) and ``BTC-USDT-SWAP``.
    value : Decimal
        Base currency per contract (``ctVal``).
    lot_size : Decimal
        Contracts per lot of the venue.
    """

    __slots__ = (
        "_price",
        "_size",
        "family",
        "inst_id",
        "instrument",
        "lot_size",
        "number",
        "value",
    )

    def __init__(self, instrument: Instrument, *, number: int) -> None:
        self.instrument = instrument
        self.number = number
        self.family = f"{instrument.base_coin}-{instrument.quote_coin}"
        self.inst_id = f"{self.family}-SWAP"
        step = instrument.qty_step
        self.value = _KNOWN_VALUES.get(instrument.base_coin, step * _LOTS_PER_CONTRACT)
        self.lot_size = step / self.value
        self._price = _unit(instrument.tick_size)
        self._size = _unit(self.lot_size)

    @property
    def symbol(self) -> str:
        """The venue's own name of the instrument."""
        return self.instrument.symbol

    def price(self, ticks: int) -> str:
        """Return the price of ``ticks`` (not negative), without trailing zeros."""
        return _text(ticks, self._price)

    def size(self, lots: int) -> str:
        """Return ``lots`` (not negative) of the venue as contracts, without trailing zeros."""
        return _text(lots, self._size)

    def near(self, price: Decimal) -> str:
        """Return any price, quote currency, rounded to the grid's decimals."""
        return plain(Decimal(format(price, f".{self._price[1]}f")))

    def contracts(self, qty: Decimal) -> str:
        """Return a quantity of base currency as contracts."""
        return short(qty / self.value)


def swaps(instruments: Iterable[Instrument]) -> dict[str, SwapContract]:
    """Return the swaps of the perpetuals among ``instruments`` by ``instId``."""
    perpetuals = [each for each in instruments if each.category is Category.LINEAR]
    listed = (SwapContract(each, number=number) for number, each in enumerate(perpetuals, 1))
    return {contract.inst_id: contract for contract in listed}


def short(value: Decimal) -> str:
    """Return ``value`` in plain notation with at most eight decimals."""
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -8:
        value = value.quantize(_EIGHT)
    return plain(value)


def _unit(step: Decimal) -> tuple[int, int]:
    decimals = decimal_places(step)
    return int(step.scaleb(decimals)), decimals


def _text(count: int, unit: tuple[int, int]) -> str:
    step, decimals = unit
    if not decimals:
        return str(count * step)
    whole, part = divmod(count * step, 10**decimals)
    return f"{whole}.{part:0{decimals}d}".rstrip("0").rstrip(".")
