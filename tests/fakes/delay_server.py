"""An HTTP server on loopback that delays, holds or spoils its answers and remembers everything."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    peer: tuple[str, int]


@dataclass(slots=True)
class Answer:
    """One answer: status, body (JSON unless bytes), headers, seconds before it."""

    status: int = 200
    body: Any = field(default_factory=lambda: {"retCode": 0, "retMsg": "OK", "result": {}})
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    drop: bool = False


class DelayServer:
    """Answers from ``script`` in turn, then ``usual``; waits while ``gate`` is cleared."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.seen: list[Seen] = []
        self.script: deque[Answer] = deque()
        self.by_path: dict[str, Answer] = {}
        self.usual = Answer()
        self.gate = asyncio.Event()
        self.gate.set()
        self.arrived = asyncio.Condition()
        self.active = 0
        self.most_active = 0
        self._tls = tls
        self._runner: web.ServerRunner | None = None
        self.url = ""

    @property
    def paths(self) -> list[str]:
        return [seen.path for seen in self.seen]

    @property
    def peers(self) -> set[tuple[str, int]]:
        """The clients' ends of all connections that carried a request."""
        return {seen.peer for seen in self.seen}

    async def __aenter__(self) -> Self:
        self._runner = web.ServerRunner(web.Server(self._answer), shutdown_timeout=0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.gate.set()
        assert self._runner is not None
        await self._runner.cleanup()

    async def until(self, count: int) -> None:
        """Wait until ``count`` requests have arrived."""
        async with self.arrived:
            await asyncio.wait_for(self.arrived.wait_for(lambda: len(self.seen) >= count), 10)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        peer = request.transport.get_extra_info("peername")[:2]
        async with self.arrived:
            self.seen.append(
                Seen(
                    request.method,
                    request.rel_url.raw_path,
                    request.rel_url.raw_query_string,
                    dict(request.headers),
                    body,
                    peer,
                )
            )
            self.arrived.notify_all()
        self.active += 1
        self.most_active = max(self.most_active, self.active)
        try:
            return await self._reply(request)
        finally:
            self.active -= 1

    async def _reply(self, request: web.BaseRequest) -> web.StreamResponse:
        await self.gate.wait()
        answer = self.by_path.get(request.path)
        if answer is None:
            answer = self.script.popleft() if self.script else self.usual
        if answer.delay_s:
            await asyncio.sleep(answer.delay_s)
        if answer.drop:
            request.transport.abort()
            raise ConnectionResetError("dropped on purpose")
        content = (
            answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        )
        return web.Response(
            status=answer.status,
            body=content,
            headers={"Content-Type": "application/json", **answer.headers},
        )
