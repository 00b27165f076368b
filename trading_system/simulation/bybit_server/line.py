"""The TCP connection below a WebSocket, for what its protocol library cannot do."""

from __future__ import annotations

import asyncio
import socket
import struct

_FINAL_TEXT = 0x81
_LINGER_NOT = struct.pack("ii", 1, 0)


class Line:
    """Ends or silences a connection in the ways a broken network does.

    Parameters
    ----------
    transport : Transport or None
        None once the connection is gone.
    """

    def __init__(self, transport: asyncio.Transport | None) -> None:
        self._transport = transport

    def abort(self) -> None:
        """Close at once, without a goodbye."""
        if self._transport is not None:
            self._transport.abort()

    def freeze(self) -> None:
        """Read no more, so that not even the peer's end is noticed; nothing is closed."""
        if self._transport is not None:
            self._transport.pause_reading()

    def tear(self, payload: bytes) -> None:
        """Send a text frame's header and the first half of its payload, then reset."""
        if self._transport is None:
            return
        self._transport.write(frame_header(len(payload)) + payload[: len(payload) // 2])
        raw = self._transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        self._transport.abort()


def frame_header(size: int) -> bytes:
    """Return the header of an unmasked, uncompressed text frame with ``size`` bytes."""
    if size < 126:
        return bytes((_FINAL_TEXT, size))
    if size < 65_536:
        return struct.pack("!BBH", _FINAL_TEXT, 126, size)
    return struct.pack("!BBQ", _FINAL_TEXT, 127, size)
