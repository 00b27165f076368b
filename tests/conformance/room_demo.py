"""pybit with a venue that has the profile of Bybit's demo environment."""

from __future__ import annotations

import base64
import http.client
import os
from typing import Any
from urllib.parse import urlsplit

import pybit.unified_trading
from protocol import Pacer
from pybit.unified_trading import WebSocket
from room_pybit import PING, Side
from streams import WAIT_S, ClientLog, Rows
from venue_process import Ready


class DemoRoom:
    """One account over REST and its private stream."""

    def __init__(self, venue: Ready, pacer: Pacer) -> None:
        self.venue = venue
        self.log = ClientLog()
        self.rows = Rows()
        self._pacer = pacer
        self._socket: Any = None

    def open(self) -> None:
        """Connect, authenticate, subscribe."""
        self.log.install()
        pybit.unified_trading.PRIVATE_WSS = self.venue.ws + "/v5/private"
        account = self.venue.accounts[0]
        self.side = Side(self.venue.rest, account, self._pacer)
        keys = {"api_key": account.key, "api_secret": account.secret}
        self._socket = WebSocket("private", **keys, **PING)
        self._socket.order_stream(self.rows.add)
        self.log.wait("Subscription to")

    def order_event(self, order_id: str, status: str) -> dict[str, Any]:
        """Wait for an ``order`` row of an order in one state."""
        return self.rows.wait(
            "order", lambda row: row["orderId"] == order_id and row["orderStatus"] == status
        )

    def handshake(self, path: str) -> int:
        """Return the HTTP status with which a WebSocket handshake is answered."""
        place = urlsplit(self.venue.rest)
        assert place.hostname is not None
        connection = http.client.HTTPConnection(place.hostname, place.port, timeout=10)
        headers = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        }
        try:
            connection.request("GET", path, headers=headers)
            return connection.getresponse().status
        finally:
            connection.close()

    def close(self) -> None:
        """Close every connection."""
        if self._socket is not None:
            self._socket.exit()
            self._socket.wst.join(timeout=WAIT_S)  # it logs its end
        side = getattr(self, "side", None)
        if side is not None:
            side.http.client.close()
            side.strict.client.close()
        self.log.remove()
