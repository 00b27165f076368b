"""Mids of the recent past: what a fill is measured against is the market just before it."""

from __future__ import annotations

from collections import deque
from decimal import Decimal

_KEEP = 512


class MidHistory:
    """The newest mids of each symbol with the venue's time of their book, at most 512 each."""

    def __init__(self) -> None:
        self._mids: dict[str, deque[tuple[int, Decimal]]] = {}

    def note(self, symbol: str, ts_exchange_ns: int, mid: Decimal) -> None:
        """Remember ``mid`` (quote currency) of the book of ``ts_exchange_ns``."""
        mids = self._mids.setdefault(symbol, deque(maxlen=_KEEP))
        if not mids or mids[-1][1] != mid:
            mids.append((ts_exchange_ns, mid))

    def before(self, symbol: str, ts_exchange_ns: int) -> Decimal | None:
        """Return the newest mid older than ``ts_exchange_ns``, None if none is remembered.

        Both are the venue's own stamps, so that neither clocks nor the order in which streams
        arrive matter.
        """
        for noted_ns, mid in reversed(self._mids.get(symbol, ())):
            if noted_ns < ts_exchange_ns:
                return mid
        return None
