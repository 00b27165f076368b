"""Orders over the pooled transport: signed and encoded per order, as the client does it."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

import msgspec
import protocol
from pydantic import SecretStr

from optimizers.transport.pool import PooledTransport
from trading_system.domain.ports import HttpRequest
from trading_system.venues.bybit.signing import Signer


class _Sender:
    def __init__(self, pool: PooledTransport, url: str) -> None:
        self._pool = pool
        self._url = f"{url}/v5/order/create"
        self._signer = Signer("key", SecretStr("secret"), recv_window_ms=5000)
        self.number = 0

    async def order(self) -> None:
        self.number += 1
        body = msgspec.json.encode(
            {
                "category": "linear",
                "symbol": "BTCUSDT",
                "side": "Buy",
                "orderType": "Limit",
                "qty": "0.001",
                "price": "60000.0",
                "orderLinkId": f"b-{self.number}",
            }
        )
        headers = self._signer.headers(body, timestamp_ms=time.time_ns() // 1_000_000)
        headers["Content-Type"] = "application/json"
        request = HttpRequest(method="POST", url=self._url, headers=headers, body=body)
        reply = await self._pool.request(request, priority=2, timeout_s=5.0)
        assert msgspec.json.decode(reply.body)["retCode"] == 0

    async def burst(self, size: int) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(size):
                group.create_task(self.order())


async def main(url: str) -> None:
    async with PooledTransport(connections=10) as pool:
        await pool.pre_warm(url)
        sender = _Sender(pool, url)
        protocol.ready()
        for question in protocol.questions():
            protocol.say({"us": await _answer(sender, question)})


async def _answer(sender: _Sender, question: dict[str, Any]) -> list[float]:
    if question["what"] == "burst":
        return await protocol.timed_async(lambda: sender.burst(10), question["count"])
    return await protocol.timed_async(sender.order, question["count"])


if __name__ == "__main__":
    # The system's own log lines would mix with the answers.
    import structlog

    structlog.configure(logger_factory=structlog.WriteLoggerFactory(file=sys.stderr))
    asyncio.run(main(sys.argv[1]))
