"""The same orders by pybit: one after the other, and ten at once in ten threads."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import protocol
from pybit.unified_trading import HTTP


def main(url: str) -> None:
    client = HTTP(api_key="key", api_secret="secret")
    client.endpoint = url

    def order(_: int = 0) -> None:
        answer = client.place_order(
            category="linear",
            symbol="BTCUSDT",
            side="Buy",
            orderType="Limit",
            qty="0.001",
            price="60000.0",
        )
        assert answer["retCode"] == 0

    with ThreadPoolExecutor(10) as threads:
        list(threads.map(order, range(20)))
        protocol.ready("pybit")
        for question in protocol.questions():
            call = order
            if question["what"] == "burst":
                call = lambda: list(threads.map(order, range(10)))  # noqa: E731 - timed as it is
            protocol.say({"us": protocol.timed(call, question["count"])})


if __name__ == "__main__":
    main(sys.argv[1])
