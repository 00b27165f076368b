"""Addresses of Bybit's environments (Bybit V5 documentation, July 2026)."""

from __future__ import annotations

from dataclasses import dataclass

from trading_system.domain.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Base addresses, without a path and without a trailing slash.

    ``public_ws`` and ``private_ws`` differ on demo, whose public data is mainnet's. ``trade_ws``
    is None where the environment has no trade WebSocket; orders then go by REST.
    """

    rest: str
    public_ws: str
    private_ws: str
    trade_ws: str | None = None

    @property
    def public_linear(self) -> str:
        """Full address of the public stream of the linear category."""
        return f"{self.public_ws}/v5/public/linear"

    @property
    def private(self) -> str:
        """Full address of the private stream."""
        return f"{self.private_ws}/v5/private"

    @property
    def trade(self) -> str | None:
        """Full address of the trade stream, None without one."""
        return None if self.trade_ws is None else f"{self.trade_ws}/v5/trade"


_KNOWN = {
    "mainnet": Endpoints(
        rest="https://api.bybit.com",
        public_ws="wss://stream.bybit.com",
        private_ws="wss://stream.bybit.com",
        trade_ws="wss://stream.bybit.com",
    ),
    "testnet": Endpoints(
        rest="https://api-testnet.bybit.com",
        public_ws="wss://stream-testnet.bybit.com",
        private_ws="wss://stream-testnet.bybit.com",
        trade_ws="wss://stream-testnet.bybit.com",
    ),
    "demo": Endpoints(
        rest="https://api-demo.bybit.com",
        public_ws="wss://stream.bybit.com",
        private_ws="wss://stream-demo.bybit.com",
    ),
}
_LOCAL = "simulated"


def endpoints(environment: str, *, rest_url: str | None, ws_url: str | None) -> Endpoints:
    """Return the addresses of ``environment``, replaced by the overrides where given.

    Raises
    ------
    ConfigurationError
        If the environment is unknown, or has no addresses of its own and an override is missing,
        or if an override is the host of another environment.
    """
    known = _KNOWN.get(environment)
    _refuse_foreign(environment, rest_url, "TRADING_BYBIT__REST_URL")
    _refuse_foreign(environment, ws_url, "TRADING_BYBIT__WS_URL")
    if known is not None:
        ws = _base(ws_url) if ws_url else None
        return Endpoints(
            rest=_base(rest_url) if rest_url else known.rest,
            public_ws=ws or known.public_ws,
            private_ws=ws or known.private_ws,
            trade_ws=None if known.trade_ws is None else ws or known.trade_ws,
        )
    if environment != _LOCAL:
        names = ", ".join([_LOCAL, *_KNOWN])
        raise ConfigurationError(
            f"there is no environment {environment!r}; set TRADING_ENVIRONMENT to one of {names}"
        )
    if rest_url is None or ws_url is None:
        raise ConfigurationError(
            f"environment {environment!r} has no public address; set TRADING_BYBIT__REST_URL "
            "and TRADING_BYBIT__WS_URL"
        )
    ws = _base(ws_url)
    return Endpoints(rest=_base(rest_url), public_ws=ws, private_ws=ws, trade_ws=ws)


def _refuse_foreign(environment: str, url: str | None, variable: str) -> None:
    # Real money must not be reached under another name, nor the reverse.
    for name, known in _KNOWN.items():
        own = _KNOWN.get(environment)
        hosts = {known.rest, known.public_ws, known.private_ws}
        shared = {own.rest, own.public_ws, own.private_ws} if own is not None else set()
        if name != environment and url is not None and _base(url) in hosts - shared:
            raise ConfigurationError(
                f"{variable} names a host of {name}, but TRADING_ENVIRONMENT is {environment}; "
                "change one of them"
            )


def _base(url: str) -> str:
    return url.rstrip("/")
