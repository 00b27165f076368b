"""Where the venue is and with which key: from the settings, or from the embedded venue itself."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from trading_system.config.sections import BybitSettings
from trading_system.config.settings import Settings
from trading_system.domain.errors import ConfigurationError
from trading_system.venues.bybit.hosts import Endpoints, endpoints
from trading_system.venues.bybit.signing import Seal, Signer


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Addresses and key of one account.

    Parameters
    ----------
    account : str
        Names the account without giving the key away: its environment and a digest of the key.
    """

    endpoints: Endpoints
    signer: Signer
    account: str


def needs_embedded_venue(settings: Settings) -> bool:
    """Return whether the system has to start a venue of its own."""
    return settings.environment == "simulated" and settings.bybit.rest_url is None


def signer_of(bybit: BybitSettings) -> Signer | None:
    """Return what signs with the key of the settings, HMAC or RSA; None without a key.

    Raises
    ------
    ConfigurationError
        If the private key's file cannot be used.
    """
    if bybit.api_key is None:
        return None
    secret = bybit.api_secret
    if secret is None:
        assert bybit.private_key_file is not None, "the settings refuse a key without a secret"
        seal = _rsa_seal(bybit.private_key_file.expanduser())
        return Signer(bybit.api_key.get_secret_value(), seal, recv_window_ms=bybit.recv_window_ms)
    return Signer(bybit.api_key.get_secret_value(), secret, recv_window_ms=bybit.recv_window_ms)


def _rsa_seal(path: Path) -> Seal:
    # Not with this module: most accounts have HMAC keys and need no cryptography at start.
    seal: Seal = import_module("trading_system.venues.bybit.rsa_keys").rsa_seal(path)
    return seal


def access_of(settings: Settings, ready: Mapping[str, Any] | None) -> Access:
    """Return the access that the settings describe; ``ready`` is the embedded venue's ready line.

    Raises
    ------
    ConfigurationError
        If a key or an address is missing.
    """
    bybit = settings.bybit
    rest_url, ws_url = bybit.rest_url, bybit.ws_url
    if ready is not None:
        rest_url, ws_url = str(ready["rest"]), str(ready["ws"])
        signer: Signer | None = Signer(
            str(ready["api_key"]),
            SecretStr(str(ready["api_secret"])),
            recv_window_ms=bybit.recv_window_ms,
        )
    else:
        signer = signer_of(bybit)
    if signer is None:
        raise ConfigurationError(
            "an API key is needed; set TRADING_BYBIT__API_KEY and TRADING_BYBIT__API_SECRET"
        )
    name = signer.api_key
    return Access(
        endpoints=endpoints(settings.environment, rest_url=rest_url, ws_url=ws_url),
        signer=signer,
        account=f"{settings.environment}-{hashlib.sha256(name.encode()).hexdigest()[:8]}",
    )
