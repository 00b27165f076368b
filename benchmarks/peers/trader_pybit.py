"""The same trader on pybit's streams: its book, numpy features, scikit-learn's logistic model."""

from __future__ import annotations

import sys
from logging import CRITICAL, getLogger
from typing import Any

import numpy as np
import protocol
import pybit.unified_trading
from pybit import _websocket_trading
from sklearn.linear_model import LogisticRegression


class _Trader:
    def __init__(self, url: str) -> None:
        inputs = np.random.default_rng(1).normal(size=(500, 4))
        self._model = LogisticRegression().fit(inputs, inputs[:, 0] > 0)
        _websocket_trading.TRADE_WSS = f"{url}/v5/trade?client=pybit"
        pybit.unified_trading.PUBLIC_WSS = f"{url}/v5/public/{{CHANNEL_TYPE}}?client=pybit"
        self._trade = pybit.unified_trading.WebSocketTrading(
            testnet=True, api_key="key", api_secret="secret"
        )
        self._stream = pybit.unified_trading.WebSocket(testnet=True, channel_type="linear")
        self._stream.orderbook_stream(50, "BTCUSDT", self._on_book)

    def _on_book(self, message: dict[str, Any]) -> None:
        book = message["data"]
        bids = np.array(sorted(((float(p), float(q)) for p, q in book["b"]), reverse=True))
        asks = np.array(sorted((float(p), float(q)) for p, q in book["a"]))
        mid = (bids[0, 0] + asks[0, 0]) / 2
        micro = (bids[0, 0] * asks[0, 1] + asks[0, 0] * bids[0, 1]) / (bids[0, 1] + asks[0, 1])
        row = np.array(
            [
                (asks[0, 0] - bids[0, 0]) / mid * 10_000,
                (micro - mid) / mid * 10_000,
                _imbalance(bids, asks, 1),
                _imbalance(bids, asks, 10),
            ]
        )
        self._model.predict_proba(row.reshape(1, -1))
        self._trade.place_order(
            lambda _answer: None,
            category="linear",
            symbol="BTCUSDT",
            side="Buy",
            orderType="Limit",
            qty="0.001",
            price=f"{asks[0, 0]:.1f}",
        )


def _imbalance(bids: Any, asks: Any, levels: int) -> float:
    bid, ask = bids[:levels, 1].sum(), asks[:levels, 1].sum()
    return float((bid - ask) / (bid + ask))


if __name__ == "__main__":
    getLogger("pybit").setLevel(CRITICAL)  # it complains of answers that come very soon
    trader = _Trader(sys.argv[1])
    protocol.ready("pybit")
    for _ in protocol.questions():
        protocol.say({})
