"""Addresses of Bybit's environments (Bybit V5 documentation, July 2026)."""

from __future__ import annotations

from dataclasses import dataclass

from trading_system.domain.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Base addresses, without a path and without a trailing slash.

    ``public_ws`` and ``private_ws`` differ on demo, whose public data is mainnet's.
    """

    rest: str
    public_ws: str
    private_ws: str


_KNOWN = {
    "mainnet": Endpoints(
        rest="https://api.bybit.com",
        public_ws="wss://stream.bybit.com",
        private_ws="wss://stream.bybit.com",
    ),
    "testnet": Endpoints(
        rest="https://api-testnet.bybit.com",
        public_ws="wss://stream-testnet.bybit.com",
        private_ws="wss://stream-testnet.bybit.com",
    ),
    "demo": Endpoints(
        rest="https://api-demo.bybit.com",
        public_ws="wss://stream.bybit.com",
        private_ws="wss://stream-demo.bybit.com",
    ),
}


def endpoints(environment: str, *, rest_url: str | None, ws_url: str | None) -> Endpoints:
    """Return the addresses of ``environment``, replaced by the overrides where given.

    Raises
    ------
    ConfigurationError
        If the environment has no addresses of its own and an override is missing.
    """
    known = _KNOWN.get(environment)
    if known is None and (rest_url is None or ws_url is None):
        raise ConfigurationError(
            f"environment {environment!r} has no public address; set TRADING_BYBIT__REST_URL "
            "and TRADING_BYBIT__WS_URL"
        )
    if known is None:
        assert rest_url is not None
        assert ws_url is not None
        return Endpoints(rest=_base(rest_url), public_ws=_base(ws_url), private_ws=_base(ws_url))
    return Endpoints(
        rest=_base(rest_url) if rest_url else known.rest,
        public_ws=_base(ws_url) if ws_url else known.public_ws,
        private_ws=_base(ws_url) if ws_url else known.private_ws,
    )


def _base(url: str) -> str:
    return url.rstrip("/")
