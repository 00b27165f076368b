"""Where the venue is and with which key: from the settings, or from the embedded venue itself."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from trading_system.config.settings import Settings
from trading_system.domain.errors import ConfigurationError
from trading_system.venues.bybit.hosts import Endpoints, endpoints
from trading_system.venues.bybit.signing import Signer


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


def access_of(settings: Settings, ready: Mapping[str, Any] | None) -> Access:
    """Return the access that the settings describe; ``ready`` is the embedded venue's ready line.

    Raises
    ------
    ConfigurationError
        If a key or an address is missing.
    """
    bybit = settings.bybit
    rest_url, ws_url = bybit.rest_url, bybit.ws_url
    key, secret = bybit.api_key, bybit.api_secret
    if ready is not None:
        rest_url, ws_url = str(ready["rest"]), str(ready["ws"])
        key, secret = SecretStr(str(ready["api_key"])), SecretStr(str(ready["api_secret"]))
    if key is None or secret is None:
        raise ConfigurationError(
            "an API key is needed; set TRADING_BYBIT__API_KEY and TRADING_BYBIT__API_SECRET"
        )
    name = key.get_secret_value()
    return Access(
        endpoints=endpoints(settings.environment, rest_url=rest_url, ws_url=ws_url),
        signer=Signer(name, secret, recv_window_ms=bybit.recv_window_ms),
        account=f"{settings.environment}-{hashlib.sha256(name.encode()).hexdigest()[:8]}",
    )
