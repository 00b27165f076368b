"""Request signatures of Bybit V5 (HMAC-SHA256, lower-case hex)."""

from __future__ import annotations

import hashlib
import hmac

from pydantic import SecretStr


class Signer:
    """Signs requests and stream log-ins with one key; the secret stays inside.

    Parameters
    ----------
    api_key : str
        Public part of the key.
    api_secret : SecretStr
        Secret part.
    recv_window_ms : int
        How long after its timestamp a request stays valid, milliseconds.
    """

    def __init__(self, api_key: str, api_secret: SecretStr, *, recv_window_ms: int) -> None:
        self.api_key = api_key
        self._keyed = hmac.new(api_secret.get_secret_value().encode(), digestmod=hashlib.sha256)
        self._window = str(recv_window_ms)
        self.recv_window_ms = recv_window_ms

    def _hex(self, text: bytes) -> str:
        keyed = self._keyed.copy()
        keyed.update(text)
        return keyed.hexdigest()

    def headers(self, payload: bytes, *, timestamp_ms: int) -> dict[str, str]:
        """Return the authentication headers for a raw query string or body."""
        stamp = str(timestamp_ms)
        prefix = f"{stamp}{self.api_key}{self._window}".encode()
        return {
            "X-BAPI-API-KEY": self.api_key,
            "X-BAPI-TIMESTAMP": stamp,
            "X-BAPI-RECV-WINDOW": self._window,
            "X-BAPI-SIGN": self._hex(prefix + payload),
        }

    def stream_auth(self, *, expires_ms: int) -> list[str | int]:
        """Return the ``args`` of an ``auth`` request that is valid until ``expires_ms``."""
        return [self.api_key, expires_ms, self._hex(f"GET/realtime{expires_ms}".encode())]
