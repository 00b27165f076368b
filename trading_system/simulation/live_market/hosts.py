"""Where a live market comes from, and the instruments that are listed there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec

from trading_system.domain.errors import ConfigurationError

_TIMEOUT_S = 10.0
_PATH = "/v5/market/instruments-info"
_ANSWER = msgspec.json.Decoder(dict[str, Any])
_SOCKET_SCHEMES = MappingProxyType({"http": "ws", "https": "wss"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicHost:
    """Base addresses of REST and public streams; no key is ever sent there."""

    name: str
    rest: str
    ws: str


_KNOWN = MappingProxyType(
    {
        "testnet": PublicHost(
            name="testnet",
            rest="https://api-testnet.bybit.com",
            ws="wss://stream-testnet.bybit.com",
        ),
        "mainnet": PublicHost(
            name="mainnet", rest="https://api.bybit.com", ws="wss://stream.bybit.com"
        ),
    }
)


def public_host(source: str) -> PublicHost:
    """Return the host that ``source`` names.

    Parameters
    ----------
    source : str
        ``testnet``, ``mainnet``, or the http(s) address of an embedded venue, whose streams are
        on the same port.

    Raises
    ------
    ConfigurationError
        If it is neither.
    """
    if source in _KNOWN:
        return _KNOWN[source]
    scheme, where = _address(source)
    return PublicHost(
        name=source, rest=f"{scheme}://{where}", ws=f"{_SOCKET_SCHEMES[scheme]}://{where}"
    )


def _address(source: str) -> tuple[str, str]:
    refusal = ConfigurationError(
        "the source of a live market must be testnet, mainnet or an address like "
        f"http://127.0.0.1:8080, was {source[:80]!r}"
    )
    try:
        parts = urlsplit(source)
        is_address = bool(parts.hostname) and parts.port != 0
    except ValueError as e:
        raise refusal from e
    has_more = parts.path not in {"", "/"} or parts.query or "@" in parts.netloc
    if not is_address or parts.scheme not in _SOCKET_SCHEMES or has_more:
        raise refusal
    return parts.scheme, parts.netloc


async def instrument_rows(
    host: PublicHost, symbols: Sequence[str], *, category: str = "linear"
) -> dict[str, dict[str, Any]]:
    """Return the host's ``instruments-info`` row of each symbol.

    Raises
    ------
    ConfigurationError
        If the host does not answer or does not list a symbol.
    """
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    found: dict[str, dict[str, Any]] = {}
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session:
            for symbol in symbols:
                parameters = {"category": category, "symbol": symbol}
                async with session.get(host.rest + _PATH, params=parameters) as response:
                    answer = _ANSWER.decode(await response.read())
                found[symbol] = _row(host, answer, symbol)
    except (aiohttp.ClientError, TimeoutError, msgspec.MsgspecError) as e:
        raise ConfigurationError(
            f"{host.rest} does not tell its instruments: {e or type(e).__name__}"
        ) from e
    return found


def _row(host: PublicHost, answer: dict[str, Any], symbol: str) -> dict[str, Any]:
    result = answer.get("result")
    rows = result.get("list") if isinstance(result, dict) else None
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, dict) and row.get("symbol") == symbol:
            return row
    said = str(answer.get("retMsg", ""))[:100]
    raise ConfigurationError(f"{host.name} does not list {symbol} ({said}); choose other symbols")
