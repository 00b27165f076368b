"""The order book as a ladder: asks above, bids below, own orders marked.

A table of fixed rows that the browser fills itself (``ladder.js``): Python sends the newest book
as short texts, at most as often as the page asks, and the browser draws only the newest one, once
per frame. Being a real table it needs no second version for screen readers, follows the theme by
CSS and is sharp at every resolution.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from nicegui.element import Element

ROWS: Final = 12
"""Price levels on each side."""
FAR_ROWS: Final = 3
"""Own prices beyond those levels, on each side."""

_QUOTES: Final = ("USDT", "USDC", "USD")
_MAX_DECIMALS: Final = 10
_BPS: Final = 10_000.0


class Ladder(Element, component="ladder.js"):
    """A ladder; empty until the first book.

    Parameters
    ----------
    label : str
        What it shows, for people who do not see it.
    rows : int
        Price levels on each side.
    """

    def __init__(self, *, label: str, rows: int = ROWS) -> None:
        super().__init__()
        self._rows = rows
        self._newest: dict[str, Any] | None = None
        self.props["label"] = label
        self.props["rows"] = rows
        self.props["far"] = FAR_ROWS

    def show(self, book: Mapping[str, Any] | None, *, note: str = "") -> bool:
        """Show ``book`` (as ``GET /market/{symbol}``), ``note`` why not to trust it.

        Returns whether anything was sent: the same picture is not sent twice.
        """
        picture = picture_of(book, rows=self._rows, note=note)
        if picture == self._newest:
            return False
        self._newest = picture
        _ = self.run_method("push", picture)  # no answer is waited for
        return True


def decimals_of(step: object) -> int:
    """Return how many decimals a multiple of ``step`` (number or text) needs, 0 to 10."""
    try:
        exponent = Decimal(str(step)).normalize().as_tuple().exponent
    except ArithmeticError:
        return 0
    return min(max(-exponent, 0), _MAX_DECIMALS) if isinstance(exponent, int) else 0


def picture_of(book: Mapping[str, Any] | None, *, rows: int, note: str = "") -> dict[str, Any]:
    """Return what the browser draws: texts and widths, JSON-safe.

    ``asks`` and ``bids`` are rows, best first: price, size, cumulated size, own size (texts) and
    the width of the size's bar (0 to 1, of the largest shown). ``far_asks`` and ``far_bids`` are
    own orders beyond them, whose level the book shown does not reach.
    """
    if book is None or not book.get("is_ready"):
        return {
            "asks": [],
            "bids": [],
            "far_asks": [],
            "far_bids": [],
            "mid": "",
            "note": note,
            "units": ["", ""],
        }
    symbol = str(book.get("symbol", ""))
    digits = (decimals_of(book.get("tick_size")), decimals_of(book.get("qty_step")))
    asks, bids = book.get("asks", [])[:rows], book.get("bids", [])[:rows]
    largest = max((size for _, size in (*asks, *bids)), default=0.0)
    own = {side: own_sizes(book.get("own_orders", ()), side) for side in ("buy", "sell")}
    return {
        "asks": _levels(asks, own["sell"], digits, largest),
        "bids": _levels(bids, own["buy"], digits, largest),
        "far_asks": _far(asks, own["sell"], digits, best_first=1),
        "far_bids": _far(bids, own["buy"], digits, best_first=-1),
        "mid": _middle(book, digits[0]),
        "note": note,
        "units": [quote_of(symbol), base_of(symbol)],
    }


def base_of(symbol: str) -> str:
    """Return the base currency in the name of a linear perpetual, else the word base.

    Bybit's spelling (``BTCUSDT``) and OKX's (``BTC-USDT-SWAP``) are understood.
    """
    first, dash, _ = symbol.partition("-")
    base = first if dash else symbol.removesuffix(quote_of(symbol))
    return base or "base"


def quote_of(symbol: str) -> str:
    """Return the quote currency in the name of a linear perpetual, else the word quote."""
    for quote in _QUOTES:
        if f"-{quote}" in symbol or (symbol.endswith(quote) and symbol != quote):
            return quote
    return "quote"


def own_sizes(orders: Sequence[Mapping[str, Any]], side: str) -> dict[float, float]:
    """Return the own resting size by price on ``side`` (buy or sell, any case)."""
    sizes: dict[float, float] = {}
    for order in orders:
        if str(order["side"]).lower() == side and order.get("price") is not None:
            price = float(order["price"])
            sizes[price] = sizes.get(price, 0.0) + float(order["quantity"])
    return sizes


def _levels(
    levels: Sequence[Sequence[float]],
    own: Mapping[float, float],
    digits: tuple[int, int],
    largest: float,
) -> list[list[Any]]:
    total = 0.0
    rows: list[list[Any]] = []
    for price, size in levels:
        total += size
        mine = own.get(price)
        share = round(size / largest, 3) if largest > 0 else 0.0
        rows.append(
            [
                f"{price:,.{digits[0]}f}",
                f"{size:,.{digits[1]}f}",
                f"{total:,.{digits[1]}f}",
                "" if mine is None else f"{mine:,.{digits[1]}f}",
                share,
            ]
        )
    return rows


def _far(
    levels: Sequence[Sequence[float]],
    own: Mapping[float, float],
    digits: tuple[int, int],
    *,
    best_first: int,
) -> list[list[Any]]:
    shown = {price for price, _ in levels}
    hidden = sorted((price for price in own if price not in shown), key=lambda p: p * best_first)
    return [
        [f"{price:,.{digits[0]}f}", "", "further out", f"{own[price]:,.{digits[1]}f}", 0.0]
        for price in hidden[:FAR_ROWS]
    ]


def _middle(book: Mapping[str, Any], decimals: int) -> str:
    bid, ask = book.get("bid"), book.get("ask")
    if bid is None or ask is None:
        return ""
    spread, mid = ask - bid, (ask + bid) / 2
    return (
        f"{mid:,.{decimals + 1}f}   spread {spread:,.{decimals}f} ({spread / mid * _BPS:.3g} bps)"
    )
