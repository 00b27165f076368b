"""pybit's own delta processing and copy, as its callback gets it, then sorted by the user."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import book_loop
from pybit._websocket_stream import _V5WebSocketManager


class _Manager(_V5WebSocketManager):
    # The part behind the socket, without the socket.

    def __init__(self) -> None:
        self.data: dict[str, Any] = {}
        self.callback_directory: dict[str, Any] = {}

    def set_callback(self, topic: str, callback: Callable[[dict[str, Any]], object]) -> None:
        self._set_callback(topic, callback)

    def process_normal_message(self, message: dict[str, Any]) -> None:
        self._process_normal_message(message)


_held: dict[str, Any] = {}


def begin(snapshot: bytes) -> None:
    message = json.loads(snapshot)
    manager = _Manager()
    manager.set_callback(message["topic"], lambda answer: _held.update(book=answer["data"]))
    manager.process_normal_message(message)
    _held["manager"] = manager


def apply(delta: bytes) -> book_loop.Figures:
    _held["manager"].process_normal_message(json.loads(delta))
    book = _held["book"]
    bids = sorted(((float(p), float(q)) for p, q in book["b"]), reverse=True)
    asks = sorted((float(p), float(q)) for p, q in book["a"])
    share = book_loop.imbalance(sum(q for _, q in bids[:10]), sum(q for _, q in asks[:10]))
    return bids[0][0], asks[0][0], share


if __name__ == "__main__":
    book_loop.serve("pybit", begin, apply)
