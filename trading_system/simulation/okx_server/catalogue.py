"""Which channels exist, where they are served, and how a wish for one is refused."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, Literal, NamedTuple

from trading_system.simulation.okx_server.figures import BARS
from trading_system.simulation.okx_server.rows import SWAP

Endpoint = Literal["public", "business", "private"]

BAD_REQUEST: Final = "60012"
TOO_FREQUENT: Final = "60014"
WRONG_CHANNEL: Final = "60018"
WRONG_ENDPOINT: Final = "60008"
LOGIN_FAILED: Final = "60009"
LOGIN_REQUIRED: Final = "60011"
TIER_TOO_LOW: Final = "64003"

_BY_INSTRUMENT = frozenset(
    {
        "bbo-tbt",
        "books",
        "books5",
        "funding-rate",
        "mark-price",
        "open-interest",
        "price-limit",
        "tickers",
        "trades",
    }
)
_PUBLIC = _BY_INSTRUMENT | {"index-tickers", "instruments"}
_BUSINESS = frozenset(f"candle{bar}" for bar in BARS) | {"trades-all"}
_TIER_ONLY = frozenset({"books-l2-tbt", "books50-l2-tbt"})
_PRIVATE = frozenset(
    [
        "account",
        "account-greeks",
        "balance_and_position",
        "fills",
        "liquidation-warning",
        "orders",
        "positions",
        "algo-advance",
        "deposit-info",
        "grid-orders-contract",
        "grid-orders-spot",
        "orders-algo",
        "withdrawal-info",
    ]
)
_INSTRUMENT_TYPES = frozenset({"SPOT", "MARGIN", SWAP, "FUTURES", "OPTION"})


class Stream(NamedTuple):
    """One thing to follow: ``name`` is the ``instId``, or the ``instType`` of ``instruments``."""

    channel: str
    name: str

    @property
    def arg(self) -> dict[str, str]:
        """The ``arg`` of its data."""
        key = "instType" if self.channel == "instruments" else "instId"
        return {"channel": self.channel, key: self.name}


class Refusal(NamedTuple):
    """An error event's code and text."""

    code: str
    message: str


def find(
    arg: Mapping[str, str],
    endpoint: Endpoint,
    *,
    instruments: Collection[str],
    indexes: Collection[str],
) -> Stream | Refusal:
    """Return what ``arg`` asks for on ``endpoint``, or why not.

    Parameters
    ----------
    instruments, indexes : Collection of str
        Known ``instId``, and the names of their indexes.
    """
    channel = arg.get("channel", "")
    if not channel:
        return Refusal(BAD_REQUEST, "Invalid request: every arg needs a channel.")
    if channel in _PRIVATE:
        return Refusal(LOGIN_REQUIRED, "Please log in; this venue has OKX's public data only.")
    if endpoint == "private" or channel in (_PUBLIC if endpoint == "business" else _BUSINESS):
        return Refusal(
            WRONG_ENDPOINT, f"This endpoint does not support the channel {channel}: check the URL."
        )
    if channel in _TIER_ONLY:
        return Refusal(
            TIER_TOO_LOW, f"Your trading fee tier doesn't meet the requirement of {channel}."
        )
    if channel == "instruments":
        name, known = arg.get("instType", ""), _INSTRUMENT_TYPES
    elif channel in _PUBLIC or channel in _BUSINESS:
        name = arg.get("instId", "")
        known = frozenset(indexes if channel == "index-tickers" else instruments)
    else:
        name, known = arg.get("instId", ""), frozenset()
    if name not in known:
        return Refusal(
            WRONG_CHANNEL, f"Wrong URL or channel:{channel},instId:{name} doesn't exist."
        )
    return Stream(channel, name)
