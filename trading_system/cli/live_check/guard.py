"""What must be so before the check speaks to a host: a test host, a key, and an explicit word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from trading_system.config.settings import LIVE_CONFIRM_VARIABLE, Settings
from trading_system.domain.errors import ConfigurationError
from trading_system.live.access import Access, access_of
from trading_system.venues.bybit.hosts import endpoints

CONFIRMATION: Final = "LIVE-CHECK"
"""Value of the confirmation variable; it allows nothing on mainnet."""

_ENVIRONMENTS: Final = ("testnet", "demo")
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


def allowed_access(settings: Settings, environ: Mapping[str, str]) -> Access:
    """Return addresses and key of a test host that the user has agreed to use.

    Raises
    ------
    ConfigurationError
        If the environment is not testnet or demo, an address is neither of it nor of this machine,
        the key is missing, or the confirmation is.
    """
    environment = settings.environment
    if environment not in _ENVIRONMENTS:
        raise ConfigurationError(
            f"the live check sends orders and never runs on {environment}; set "
            "TRADING_ENVIRONMENT to testnet or demo"
        )
    access = access_of(settings, None)
    known = endpoints(environment, rest_url=None, ws_url=None)
    used, own = access.endpoints, {known.rest, known.private_ws, known.public_ws}
    for url in (used.rest, used.private_ws, used.public_ws):
        if url not in own and urlsplit(url).hostname not in _LOOPBACK:
            raise ConfigurationError(
                f"{url} is no host of {environment}; unset TRADING_BYBIT__REST_URL and "
                "TRADING_BYBIT__WS_URL"
            )
    if environ.get(LIVE_CONFIRM_VARIABLE) != CONFIRMATION:
        raise ConfigurationError(
            f"the live check sends tiny orders to {environment} and cancels them; set "
            f"{LIVE_CONFIRM_VARIABLE}={CONFIRMATION} to allow this"
        )
    return access
