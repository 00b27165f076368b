"""Liquidation and price limit streams of one symbol."""

from __future__ import annotations

from trading_system.simulation.bybit_server.envelope import Row, encode
from trading_system.simulation.bybit_server.texts import SIDES, GridText
from trading_system.simulation.exchange import Exchange
from trading_system.simulation.records import LiquidationRecord


class LiquidationTopic:
    """``allLiquidation.SYMBOL``: positions liquidated since the last push."""

    interval_ms = 500

    def __init__(self, exchange: Exchange, texts: GridText) -> None:
        self.text = f"allLiquidation.{texts.instrument.symbol}"
        self._exchange = exchange
        self._texts = texts
        self._last = 0

    def refresh(self, now_ms: int) -> list[bytes]:
        """Return the liquidations that are new as one message."""
        fresh = self._exchange.liquidations(self._texts.instrument.key, after=self._last)
        if not fresh:
            return []
        self._last = fresh[-1].number
        rows = [self._row(record) for record in fresh]
        return [encode({"topic": self.text, "type": "snapshot", "ts": now_ms, "data": rows})]

    def snapshot(self, now_ms: int) -> list[bytes]:
        """Return nothing: a new subscriber sees liquidations from now on."""
        del now_ms
        return []

    def _row(self, record: LiquidationRecord) -> Row:
        return {
            "T": record.time_ms,
            "s": self._texts.instrument.symbol,
            "S": SIDES[record.side],
            "v": self._texts.amount(record.lots),
            "p": self._texts.price(record.price_ticks),
        }


class PriceLimitTopic:
    """``priceLimit.SYMBOL``: the highest buy and the lowest sell price, when they move."""

    interval_ms = 300

    def __init__(self, exchange: Exchange, texts: GridText) -> None:
        self.text = f"priceLimit.{texts.instrument.symbol}"
        self._exchange = exchange
        self._texts = texts
        self._last: tuple[int, int] | None = None

    def refresh(self, now_ms: int) -> list[bytes]:
        """Return the limits if they have moved."""
        limits = self._exchange.price_limits(self._texts.instrument.key)
        if limits == self._last:
            return []
        self._last = limits
        return self.snapshot(now_ms)

    def snapshot(self, now_ms: int) -> list[bytes]:
        """Return the limits as last pushed."""
        if self._last is None:
            return []
        data = {"symbol": self._texts.instrument.symbol, **limit_texts(self._last, self._texts)}
        return [encode({"topic": self.text, "data": data, "ts": now_ms})]


def limit_texts(limits: tuple[int, int], texts: GridText) -> dict[str, str]:
    """Return the fields of price limits given in ticks, highest buy first."""
    return {"buyLmt": texts.price(limits[0]), "sellLmt": texts.price(limits[1])}
