"""The floor: blocking sockets, a fixed order for every message, no logic at all."""

from __future__ import annotations

import socket
import sys
import threading
from urllib.parse import urlsplit

import frames
import protocol

_ORDER = (
    b'{"reqId":"1","op":"order.create","args":[{"category":"linear","symbol":"BTCUSDT",'
    b'"side":"Buy","orderType":"Limit","qty":"0.001","price":"60000.0"}]}'
)
_SUBSCRIBE = b'{"op":"subscribe","req_id":"1","args":["orderbook.50.BTCUSDT"]}'


def main(url: str) -> None:
    port = urlsplit(url).port
    assert port is not None
    public = frames.connect(port, "/v5/public/linear?client=floor")
    trade = frames.connect(port, "/v5/trade?client=floor")
    public.sendall(frames.encode(_SUBSCRIBE, is_masked=True))
    public.recv(65536)
    threading.Thread(target=_react, args=(public, trade), daemon=True).start()
    protocol.ready()
    for _ in protocol.questions():
        protocol.say({})


def _react(public: socket.socket, trade: socket.socket) -> None:
    order, parser = frames.encode(_ORDER, is_masked=True), frames.Parser()
    while data := public.recv(65536):
        for _ in parser.feed(data):
            trade.sendall(order)
            trade.recv(65536)


if __name__ == "__main__":
    main(sys.argv[1])
