"""WebSocket framing for the server's and the floor's end; stdlib only.

Payloads up to 64 KiB, unfragmented text frames: all that the measured clients send.
"""

from __future__ import annotations

import base64
import hashlib
import socket

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_MASKED = 0x80


def accept(request: bytes) -> tuple[str, bytes]:
    """Return path and answer of a client's opening handshake."""
    first, *lines = request.split(b"\r\n")
    headers = dict(line.lower().split(b":", 1) for line in lines if b":" in line)
    exact = next(line for line in lines if line.lower().startswith(b"sec-websocket-key:"))
    key = exact.split(b":", 1)[1].strip()
    assert headers[b"upgrade"].strip() == b"websocket"
    token = base64.b64encode(hashlib.sha1(key + _GUID).digest())
    answer = (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + token + b"\r\n\r\n"
    )
    return first.split(b" ")[1].decode(), answer


def encode(payload: bytes, kind: int = TEXT, *, is_masked: bool = False) -> bytes:
    """Return one frame; a client's is masked, here with a key of zeros."""
    size, mask = len(payload), _MASKED if is_masked else 0
    if size < 126:
        head = bytes((0x80 | kind, mask | size))
    else:
        assert size < 1 << 16
        head = bytes((0x80 | kind, mask | 126)) + size.to_bytes(2, "big")
    return head + (bytes(4) if is_masked else b"") + payload


class Parser:
    """Cuts a byte stream into frames."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Return the frames completed by ``data`` as (kind, payload)."""
        self._held += data
        frames = []
        while (frame := self._cut()) is not None:
            frames.append(frame)
        return frames

    def _cut(self) -> tuple[int, bytes] | None:
        held = self._held
        if len(held) < 2:
            return None
        size, start = held[1] & 0x7F, 2
        if size == 126:
            size, start = int.from_bytes(held[2:4], "big"), 4
        elif size == 127:
            size, start = int.from_bytes(held[2:10], "big"), 10
        key = b""
        if held[1] & _MASKED:
            key, start = held[start : start + 4], start + 4
        if len(held) < start + size:
            return None
        payload = held[start : start + size]
        self._held = held[start + size :]
        return held[0] & 0x0F, _unmasked(payload, key) if any(key) else payload


def connect(port: int, path: str) -> socket.socket:
    """Return a client's blocking socket after its handshake."""
    found = socket.create_connection(("127.0.0.1", port))
    found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    found.sendall(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += found.recv(1)
    assert b" 101 " in answer
    return found


def _unmasked(payload: bytes, key: bytes) -> bytes:
    size = len(payload)
    pad = (key * (size // 4 + 1))[:size]
    number = int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")
    return number.to_bytes(size, "big")
