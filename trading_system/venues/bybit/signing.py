"""Request signatures of Bybit V5: HMAC-SHA256, or RSA with a seal of ``rsa_keys``."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Final

from pydantic import SecretStr

from trading_system.domain.errors import ConfigurationError

Seal = Callable[[bytes], str]
"""Signs a text with a secret that nobody sees."""

MAX_RECV_WINDOW_MS: Final = 5_000
"""A wider window would let a lost request take effect long after it was given up."""


class Signer:
    """Signs requests and stream log-ins with one key; the secret stays inside.

    Parameters
    ----------
    api_key : str
        Public part of the key.
    secret : SecretStr or Seal
        Secret part of an HMAC key, or what signs with the private key of an RSA one.
    recv_window_ms : int
        How long after its timestamp a request stays valid, milliseconds, at most 5000. Nothing
        widens it: a stale stamp is cured by measuring the clock offset again.

    Raises
    ------
    ConfigurationError
        If the window is out of its range.
    """

    def __init__(self, api_key: str, secret: SecretStr | Seal, *, recv_window_ms: int) -> None:
        if not 0 < recv_window_ms <= MAX_RECV_WINDOW_MS:
            raise ConfigurationError(
                f"a receive window of {recv_window_ms} ms is not in 1..{MAX_RECV_WINDOW_MS}; "
                "correct TRADING_BYBIT__RECV_WINDOW_MS"
            )
        self.api_key = api_key
        self._seal = _hmac_seal(secret) if isinstance(secret, SecretStr) else secret
        self._window = str(recv_window_ms)
        self.recv_window_ms = recv_window_ms

    def headers(self, payload: bytes, *, timestamp_ms: int) -> dict[str, str]:
        """Return the authentication headers for a raw query string or body."""
        stamp = str(timestamp_ms)
        prefix = f"{stamp}{self.api_key}{self._window}".encode()
        return {
            "X-BAPI-API-KEY": self.api_key,
            "X-BAPI-TIMESTAMP": stamp,
            "X-BAPI-RECV-WINDOW": self._window,
            "X-BAPI-SIGN": self._seal(prefix + payload),
        }

    def stream_auth(self, *, expires_ms: int) -> list[str | int]:
        """Return the ``args`` of an ``auth`` request that is valid until ``expires_ms``."""
        return [self.api_key, expires_ms, self._seal(f"GET/realtime{expires_ms}".encode())]


def _hmac_seal(secret: SecretStr) -> Seal:
    keyed = hmac.new(secret.get_secret_value().encode(), digestmod=hashlib.sha256)

    def seal(text: bytes) -> str:
        mine = keyed.copy()
        mine.update(text)
        return mine.hexdigest()

    return seal
