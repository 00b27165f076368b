"""One WebSocket of the live stream: what a client may say, and how it is sent frames."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from fastapi.responses import JSONResponse

from trading_system.api.stream import MAX_CLIENTS, MAX_TOPICS, Stream, StreamClient
from trading_system.domain.ports import Clock
from trading_system.runtime.limiter import TokenBucket

READ_S: Final = 2.0
"""A client that does not take a frame for this long is cut off, seconds."""
MESSAGES_PER_SECOND: Final = 5
MESSAGE_BURST: Final = 20
_NOT_TEXT: Final = 1003
_POLICY: Final = 1008


class _DoneError(Exception):
    """Ends one stream. Consequence: it is closed with the code, 0 if it is closed already."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def stream_route(stream: Stream, *, clock: Clock) -> APIRouter:
    """Return the route of the live stream."""
    router = APIRouter()

    @router.websocket("/stream")
    async def serve(socket: WebSocket) -> None:
        client = stream.admit()
        if client is None:
            refused = {"error": f"{MAX_CLIENTS} streams are open, which is the limit"}
            await socket.send_denial_response(
                JSONResponse(refused, status_code=503, headers={"Retry-After": "5"})
            )
            return
        try:
            await _converse(socket, stream, client, clock)
        finally:
            stream.dismiss(client)

    return router


async def _converse(socket: WebSocket, stream: Stream, client: StreamClient, clock: Clock) -> None:
    sending = asyncio.Lock()
    try:
        await socket.accept()
        async with asyncio.TaskGroup() as group:
            group.create_task(_listen(socket, stream, client, sending, clock=clock))
            group.create_task(_tell(socket, stream, client, sending))
    except* _DoneError as group_error:
        done = group_error.exceptions[0]
        if isinstance(done, _DoneError) and done.code:
            await _close(socket, done)
    except* (WebSocketDisconnect, TimeoutError):
        pass  # it has gone, or does not read: there is nobody to say goodbye to


async def _close(socket: WebSocket, done: _DoneError) -> None:
    try:
        async with asyncio.timeout(READ_S):
            await socket.close(done.code, done.reason)
    except (TimeoutError, WebSocketDisconnect, RuntimeError):
        return  # it went meanwhile


async def _listen(
    socket: WebSocket,
    stream: Stream,
    client: StreamClient,
    sending: asyncio.Lock,
    *,
    clock: Clock,
) -> None:
    pace = TokenBucket(MESSAGE_BURST, per_second=MESSAGES_PER_SECOND, clock=clock)
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            raise _DoneError(0)
        text = message.get("text")
        if text is None:
            raise _DoneError(_NOT_TEXT, "only text is understood")
        if not pace.try_acquire():
            raise _DoneError(_POLICY, f"more than {MESSAGES_PER_SECOND} messages per second")
        refused = _subscribed(text, stream, client)
        if refused is not None:
            await _send(socket, json.dumps({"error": refused}), sending)


async def _tell(
    socket: WebSocket, stream: Stream, client: StreamClient, sending: asyncio.Lock
) -> None:
    while True:
        await client.wake.wait()
        client.wake.clear()
        while (frame := client.fresh(stream)) is not None:
            await _send(socket, frame, sending)


async def _send(socket: WebSocket, frame: str, sending: asyncio.Lock) -> None:
    async with asyncio.timeout(READ_S), sending:
        await socket.send_text(frame)


def _subscribed(text: str, stream: Stream, client: StreamClient) -> str | None:
    """Follow one message; return why it was refused, None if it was not."""
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError):
        return "the message is not valid JSON"
    if not isinstance(content, dict) or set(content) != {"subscribe"}:
        return 'the message must be {"subscribe": [topic, ...]}'
    topics = content["subscribe"]
    if not isinstance(topics, list) or not all(isinstance(topic, str) for topic in topics):
        return "subscribe must be a list of topics"
    if len(topics) > MAX_TOPICS:
        return f"at most {MAX_TOPICS} topics"
    refused = stream.checked(topics)
    if refused is None:
        client.want(topics)
    return refused
