"""Bybit V5 signatures: HMAC-SHA256 over raw bytes, lower-case hex."""

from __future__ import annotations

import hashlib
import hmac


def sign(secret: str, text: bytes) -> str:
    """Return the lower-case hex HMAC-SHA256 of ``text`` under ``secret``."""
    return hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()


def request_text(*, timestamp: str, api_key: str, window: str, payload: bytes) -> bytes:
    """Return the bytes a REST client signs; ``payload`` is the raw query string or body."""
    return f"{timestamp}{api_key}{window}".encode("utf-8", "surrogateescape") + payload


def stream_text(expires: str) -> bytes:
    """Return the bytes a WebSocket client signs; ``expires`` is its decimal text."""
    return f"GET/realtime{expires}".encode()


def is_signed(secret: str, text: bytes, signature: str) -> bool:
    """Return whether ``signature`` is that of ``text``, in constant time."""
    expected = sign(secret, text).encode()
    return hmac.compare_digest(expected, signature.encode("utf-8", "surrogatepass"))
