"""The part of a gated client that the latency optimizer uses, in front of a host on loopback."""

from __future__ import annotations

import asyncio
from typing import Any


class SigningClient:
    """Signs by marking the payload; ``place_order`` answers or raises as told."""

    def __init__(self, rest_url: str) -> None:
        self._rest_url = rest_url
        self.ready = 0
        self.failure: Exception | None = None
        self.auth_failure: Exception | None = None
        self.order_failure: Exception | None = None
        self.order_blocks = False
        self.orders: list[dict[str, Any]] = []
        self.signed: list[bytes] = []

    async def ensure_ready(self) -> None:
        if self.failure is not None:
            raise self.failure
        self.ready += 1

    @property
    def rest_url(self) -> str:
        assert self.ready, "the address is known only when the client is ready"
        return self._rest_url

    def auth_headers(self, payload: bytes) -> dict[str, str]:
        if self.auth_failure is not None:
            raise self.auth_failure
        self.signed.append(payload)
        return {"X-BAPI-API-KEY": "key", "X-BAPI-SIGN": f"{len(self.signed)}"}

    async def place_order(self, symbol: str, side: str, **parameters: Any) -> dict[str, Any]:
        self.orders.append({"symbol": symbol, "side": side, **parameters})
        if self.order_blocks:
            await asyncio.Event().wait()
        if self.order_failure is not None:
            raise self.order_failure
        return {"order_id": "1", "status": "ACCEPTED"}
