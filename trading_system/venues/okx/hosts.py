"""Addresses of OKX's public market data (OKX V5 guide, 2026)."""

from __future__ import annotations

from dataclasses import dataclass

from trading_system.domain.errors import ConfigurationError

VENUE = "okx"
"""Name of the venue in every error."""

_PUBLIC_PATH = "/ws/v5/public"


@dataclass(frozen=True, slots=True, kw_only=True)
class OkxHosts:
    """Base addresses, without a path and without a trailing slash."""

    rest: str
    ws: str
    is_demo: bool = False

    @property
    def public(self) -> str:
        """Full address of the public stream."""
        return f"{self.ws}{_PUBLIC_PATH}"


_PRODUCTION = OkxHosts(rest="https://www.okx.com", ws="wss://ws.okx.com:8443")
_DEMO = OkxHosts(rest="https://www.okx.com", ws="wss://wspap.okx.com:8443", is_demo=True)
_KNOWN = {"mainnet": _PRODUCTION, "demo": _DEMO, "testnet": _DEMO}
_LOCAL = "simulated"


def okx_hosts(environment: str, *, rest_url: str | None, ws_url: str | None) -> OkxHosts:
    """Return the addresses of ``environment``, replaced by the overrides where given.

    OKX has no testnet: ``testnet`` and ``demo`` both mean its demo trading.

    Raises
    ------
    ConfigurationError
        If the environment is unknown, or is the embedded one and an override is missing.
    """
    known = _KNOWN.get(environment)
    if known is not None:
        return OkxHosts(
            rest=_base(rest_url or known.rest),
            ws=_base(ws_url or known.ws),
            is_demo=known.is_demo and rest_url is None,
        )
    if environment != _LOCAL:
        names = ", ".join([_LOCAL, *_KNOWN])
        raise ConfigurationError(
            f"there is no environment {environment!r}; set TRADING_ENVIRONMENT to one of {names}"
        )
    if rest_url is None or ws_url is None:
        raise ConfigurationError(
            f"environment {environment!r} has no public OKX address; set TRADING_OKX__REST_URL "
            "and TRADING_OKX__WS_URL"
        )
    return OkxHosts(rest=_base(rest_url), ws=_base(ws_url))


def _base(url: str) -> str:
    return url.rstrip("/").removesuffix(_PUBLIC_PATH)
