"""The same messages into ccxt's book by its own OKX handler, trimmed as its users get it.

Only the JSON decoder is not its own but the fastest at hand.
"""

from __future__ import annotations

import time
from typing import Any

import ccxt.pro
import msgspec
import okx_flow
import protocol

_decode = msgspec.json.decode


class _Client:
    """What the handler needs of a connection: everything is subscribed, nobody waits."""

    def __init__(self, topic: str) -> None:
        self.subscriptions = {topic: True}
        self.rejected: list[object] = []

    def resolve(self, *_: object) -> None:
        return

    def reject(self, error: object, *_: object) -> None:
        self.rejected.append(error)


def answer(exchange: Any, question: dict[str, Any]) -> dict[str, Any]:
    first, messages, flow = okx_flow.cases(question["what"], question["count"])
    symbol = exchange.safe_market(okx_flow.INST_ID)["symbol"]
    client = _Client(f"books:{symbol}")
    exchange.handle_order_book(client, _decode(first))
    is_decoded = question["what"] == "update10"
    waiting = [_decode(message) if is_decoded else message for message in messages]
    times = []
    for message in waiting:
        began = time.perf_counter_ns()
        exchange.handle_order_book(client, message if is_decoded else _decode(message))
        exchange.orderbooks[symbol].limit()
        times.append((time.perf_counter_ns() - began) / 1_000)
    book = exchange.orderbooks[symbol]
    top = {side: [row[:2] for row in book[side][: okx_flow.TOP]] for side in ("bids", "asks")}
    assert not client.rejected, client.rejected
    wanted = flow.book(okx_flow.TOP)
    assert all([tuple(row) for row in top[side]] == wanted[side] for side in top)
    return {"us": times, "top": top}


def main() -> None:
    exchange = ccxt.pro.okx()
    protocol.ready("ccxt")
    for question in protocol.questions():
        protocol.say(answer(exchange, question))


if __name__ == "__main__":
    main()
