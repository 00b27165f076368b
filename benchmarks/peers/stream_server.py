"""The venue's end of all WebSocket rows: blocking sockets, one thread, nothing but the protocol.

Every client names itself in its address (``?client=NAME``). Orders are answered at once. On a
question the server pushes book messages to one client and says when it did; for a trader it also
says how long the order took from wire to wire, and checks that its price is the best ask of the
book that the client had just been sent.
"""

from __future__ import annotations

import json
import random
import selectors
import socket
import sys
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import book_flow
import frames
import protocol

_PATIENCE_S = 10.0
_MESSAGES = 4_000
_GAP_S = (0.0002, 0.0012)


@dataclass(eq=False)
class _Peer:
    """One connection."""

    wire: socket.socket
    path: str = ""
    client: str = ""
    opening: bytes = b""
    parser: frames.Parser = field(default_factory=frames.Parser)

    def send(self, message: dict[str, Any]) -> None:
        self.wire.sendall(frames.encode(json.dumps(message).encode()))


class Server:
    """Accepts, answers, pushes."""

    def __init__(self, depth: int) -> None:
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._selector.register(self._listener, selectors.EVENT_READ, None)
        self.port = self._listener.getsockname()[1]
        self._public: dict[str, _Peer] = {}
        self._orders: list[tuple[int, str, str]] = []
        lines = book_flow.messages(depth, _MESSAGES)
        self._frames = [frames.encode(line.encode()) for line in lines]
        self._asks = _best_asks(lines)
        self._random = random.Random(1)

    def run(self) -> None:
        """Serve until standard input ends."""
        self._selector.register(sys.stdin, selectors.EVENT_READ, None)
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is not sys.stdin:
                    self._on_event(key)
                    continue
                line = sys.stdin.readline()
                if not line:
                    return
                protocol.say(self._answer(json.loads(line)))

    def _answer(self, question: dict[str, Any]) -> dict[str, Any]:
        self._until(lambda: question["client"] in self._public)
        peer = self._public[question["client"]]
        if question["what"] == "trade":
            return self._trade(peer, question["count"], is_priced=question["is_priced"])
        return {"sent": self._push(peer, question["count"], is_paced=question["what"] == "paced")}

    def _push(self, peer: _Peer, count: int, *, is_paced: bool) -> list[int]:
        stamps = []
        for frame in self._frames[: count + 1]:
            if is_paced:
                self._pause()
            stamps.append(time.perf_counter_ns())
            peer.wire.sendall(frame)
        return stamps

    def _trade(self, peer: _Peer, count: int, *, is_priced: bool) -> dict[str, Any]:
        times = []
        for number, frame in enumerate(self._frames[: count + 1]):
            self._pause()
            self._orders.clear()
            began = time.perf_counter_ns()
            peer.wire.sendall(frame)
            self._until(lambda: bool(self._orders))
            ended, client, price = self._orders[0]
            assert client == peer.client
            if is_priced:
                wanted = self._asks[number]
                assert float(price) == wanted, f"{client} asked {price} at tick {number}: {wanted}"
            times.append((ended - began) / 1_000)
        return {"us": times[1:]}

    def _pause(self) -> None:
        ends = time.perf_counter() + self._random.uniform(*_GAP_S)
        while (left := ends - time.perf_counter()) > 0:
            for key, _ in self._selector.select(left):
                self._on_event(key)

    def _until(self, condition: Any) -> None:
        ends = time.perf_counter() + _PATIENCE_S
        while not condition():
            assert time.perf_counter() < ends, "a client did not do its part in time"
            for key, _ in self._selector.select(0.5):
                self._on_event(key)

    def _on_event(self, key: selectors.SelectorKey) -> None:
        if key.fileobj is self._listener:
            wire, _ = self._listener.accept()
            wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(wire, selectors.EVENT_READ, _Peer(wire))
        elif key.data is not None:
            self._read(key.data)

    def _read(self, peer: _Peer) -> None:
        data = peer.wire.recv(65536)
        stamp = time.perf_counter_ns()
        if not data:
            self._selector.unregister(peer.wire)
            peer.wire.close()
        elif not peer.path:
            self._open(peer, data)
        else:
            for kind, payload in peer.parser.feed(data):
                self._on_frame(peer, kind, payload, stamp)

    def _open(self, peer: _Peer, data: bytes) -> None:
        peer.opening += data
        head, end, rest = peer.opening.partition(b"\r\n\r\n")
        if not end:
            return
        peer.path, answer = frames.accept(head)
        peer.client = parse_qs(urlsplit(peer.path).query)["client"][0]
        peer.wire.sendall(answer)
        assert not rest

    def _on_frame(self, peer: _Peer, kind: int, payload: bytes, stamp: int) -> None:
        if kind == frames.PING:
            peer.wire.sendall(frames.encode(payload, frames.PONG))
        if kind != frames.TEXT:
            return
        message = json.loads(payload)
        operation = message["op"]
        if operation == "order.create":
            self._on_order(peer, message, stamp)
        elif operation == "auth":
            found = {"op": "auth", "retCode": 0, "retMsg": "OK", "success": True}
            peer.send(found | {"reqId": message.get("reqId", "")})
        elif operation == "ping":
            peer.send({"op": "pong", "success": True, "ret_msg": "pong", "retCode": 0})
        elif operation == "subscribe":
            found = {"op": "subscribe", "success": True, "ret_msg": "", "conn_id": "1"}
            peer.send(found | {"req_id": message.get("req_id", "")})
            self._public[peer.client] = peer

    def _on_order(self, peer: _Peer, message: dict[str, Any], stamp: int) -> None:
        order = message["args"][0]
        assert (order["symbol"], order["side"], order["qty"]) == ("BTCUSDT", "Buy", "0.001")
        self._orders[:] = [(stamp, peer.client, order["price"])]
        link = order.get("orderLinkId", "")
        found = {"reqId": message["reqId"], "op": "order.create", "retCode": 0, "retMsg": "OK"}
        peer.send(found | {"data": {"orderId": "1", "orderLinkId": link}, "header": {}})


def _best_asks(lines: list[str]) -> list[float]:
    """Return the best ask after each message, by the slow and obvious way."""
    asks: dict[float, float] = {}
    best = []
    for line in lines:
        for price, size in json.loads(line)["data"]["a"]:
            asks[float(price)] = float(size)
            if float(size) == 0:
                del asks[float(price)]
        best.append(min(asks))
    return best


def main() -> None:
    server = Server(int(sys.argv[1]))
    protocol.say({"ready": True, "version": "", "url": f"ws://127.0.0.1:{server.port}"})
    server.run()


if __name__ == "__main__":
    main()
