"""The fastest Bybit that Python can be: a fixed answer to any request, keep-alive, one process."""

from __future__ import annotations

import asyncio

import protocol

_BODY = (
    b'{"retCode":0,"retMsg":"OK","result":{"orderId":"1","orderLinkId":"x","list":[]},'
    b'"retExtInfo":{},"time":1700000000000}'
)
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
    + str(len(_BODY)).encode()
    + b"\r\n\r\n"
    + _BODY
)


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._held += data
        while (end := self._held.find(b"\r\n\r\n")) >= 0:
            head = self._held[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._held) < end + 4 + length:
                return
            self._held = self._held[end + 4 + length :]
            self._transport.write(_ANSWER)  # type: ignore[attr-defined] # a stream transport


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    protocol.say({"ready": True, "version": "", "url": f"http://127.0.0.1:{port}"})
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
