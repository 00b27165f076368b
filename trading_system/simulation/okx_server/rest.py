"""The REST side: public data in OKX's envelope, errors with HTTP 200 and a code."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import parse_qsl

from trading_system.simulation.okx_server.contracts import SwapContract
from trading_system.simulation.okx_server.feeds import OkxFeeds
from trading_system.simulation.okx_server.figures import BARS, candles
from trading_system.simulation.okx_server.market import OkxMarket, RowOf
from trading_system.simulation.okx_server.rows import SWAP, candle_row, encode, trade_row

PREFIX = "/api/v5/"

_LOGGER = logging.getLogger(__name__)
_MAX_FIELDS = 50
_MAX_TEXT = 64
_TYPES = frozenset({"SPOT", "MARGIN", SWAP, "FUTURES", "OPTION"})

Answer = Callable[[Mapping[str, str], int], list[object]]


class Reply(NamedTuple):
    """HTTP status and JSON body of an answer."""

    status: int
    body: bytes


class OkxReject(Exception):
    """A request that cannot be answered.

    Parameters
    ----------
    code, message : str
        Of the envelope.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message


class OkxRest:
    """Answers ``GET /api/v5/...``; nothing a client sends raises."""

    def __init__(self, market: OkxMarket, feeds: OkxFeeds, *, now_ms: Callable[[], int]) -> None:
        self._market = market
        self._feeds = feeds
        self._now_ms = now_ms
        self._answers: Mapping[str, Answer] = MappingProxyType(
            {
                "public/time": _time,
                "public/instruments": self._by_type(market.instrument),
                "public/mark-price": self._by_type(market.mark_price),
                "public/open-interest": self._by_type(market.open_interest),
                "public/funding-rate": self._by_id(market.funding_rate),
                "public/price-limit": self._by_id(market.price_limit),
                "market/tickers": self._by_type(market.ticker),
                "market/ticker": self._by_id(market.ticker),
                "market/index-tickers": self._index_tickers,
                "market/books": self._books,
                "market/trades": self._trades,
                "market/candles": self._candles,
                "market/history-candles": self._candles,
            }
        )

    def handle(self, method: str, raw_path: str) -> Reply:
        """Answer one request; ``raw_path`` has the query."""
        path, _, query = raw_path.partition("?")
        answer = self._answers.get(path.removeprefix(PREFIX))
        if answer is None:
            return _reply("404", "Not found: this venue does not serve this path.", status=404)
        if method != "GET":
            return _reply("50115", "Invalid request method, use GET.", status=405)
        try:
            return _reply("0", "", data=answer(_fields(query), self._now_ms()))
        except OkxReject as e:
            return _reply(e.code, e.message)
        except Exception:  # The boundary to untrusted clients: a bug here must not end the venue.
            _LOGGER.exception("request to %s failed", path)
            return _reply("50000", "Internal error.")

    def _by_type(self, row_of: RowOf) -> Answer:
        def answer(fields: Mapping[str, str], now_ms: int) -> list[object]:
            return [row_of(contract, now_ms) for contract in self._typed(fields)]

        return answer

    def _by_id(self, row_of: RowOf) -> Answer:
        return lambda fields, now_ms: [row_of(self._contract(fields), now_ms)]

    def _index_tickers(self, fields: Mapping[str, str], now_ms: int) -> list[object]:
        name, quote = fields.get("instId", ""), fields.get("quoteCcy", "")
        if not name and not quote:
            raise OkxReject("50014", "Parameter instId or quoteCcy can not be empty.")
        if name and name not in self._market.by_index:
            raise OkxReject("51001", "Instrument ID does not exist.")
        return [
            self._market.index(contract, now_ms)
            for index, contract in self._market.by_index.items()
            if (not name or index == name)
            and (not quote or contract.instrument.quote_coin == quote)
        ]

    def _books(self, fields: Mapping[str, str], now_ms: int) -> list[object]:
        depth = _integer(fields, "sz", default=1, highest=400)
        return [self._feeds.rest_book(self._contract(fields), depth, now_ms=now_ms)]

    def _trades(self, fields: Mapping[str, str], now_ms: int) -> list[object]:
        del now_ms
        contract = self._contract(fields)
        limit = _integer(fields, "limit", default=100, highest=500)
        found = self._market.logs[contract.symbol].newest_first(limit)
        return [trade_row(trade, contract) for trade in found]

    def _candles(self, fields: Mapping[str, str], now_ms: int) -> list[object]:
        contract = self._contract(fields)
        bar = fields.get("bar") or "1m"
        if bar not in BARS:
            raise OkxReject("51000", "Parameter bar error.")
        after, before = _number(fields, "after"), _number(fields, "before")
        found = candles(
            self._market.venue.statistics,
            contract.symbol,
            bar,
            start_ms=None if before is None else before + 1,
            end_ms=now_ms if after is None else min(after - 1, now_ms),
            limit=_integer(fields, "limit", default=100, highest=300),
        )
        return [candle_row(candle, contract) for candle in reversed(found)]

    # The contracts of a type, narrowed by ``instId``, ``uly`` or ``instFamily`` if given. Clients
    # leave the type out where they name the instrument.
    def _typed(self, fields: Mapping[str, str]) -> list[SwapContract]:
        wanted = fields.get("instId", "")
        kind = fields.get("instType", "") or (SWAP if wanted else _required(fields, "instType"))
        if kind not in _TYPES:
            raise OkxReject("51000", "Parameter instType error.")
        if kind != SWAP:
            return []
        if wanted:
            return [self._contract(fields)]
        family = fields.get("uly") or fields.get("instFamily")
        return [
            contract
            for contract in self._market.contracts.values()
            if not family or contract.family == family
        ]

    def _contract(self, fields: Mapping[str, str]) -> SwapContract:
        contract = self._market.contracts.get(_required(fields, "instId"))
        if contract is None:
            raise OkxReject("51001", "Instrument ID does not exist.")
        return contract


def _time(fields: Mapping[str, str], now_ms: int) -> list[object]:
    del fields
    return [{"ts": str(now_ms)}]


def _fields(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError as e:
        raise OkxReject("50014", "Too many parameters.") from e
    if any(len(part) > _MAX_TEXT for pair in pairs for part in pair):
        raise OkxReject("51000", "Parameter too long.")
    return dict(pairs)


def _required(fields: Mapping[str, str], name: str) -> str:
    value = fields.get(name, "")
    if not value:
        raise OkxReject("50014", f"Parameter {name} can not be empty.")
    return value


def _number(fields: Mapping[str, str], name: str) -> int | None:
    text = fields.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 16):
        raise OkxReject("51000", f"Parameter {name} error.")
    return int(text)


def _integer(fields: Mapping[str, str], name: str, *, default: int, highest: int) -> int:
    value = _number(fields, name)
    if value == 0:
        raise OkxReject("51000", f"Parameter {name} error.")
    return default if value is None else min(value, highest)


def _reply(
    code: str, message: str, *, data: list[object] | None = None, status: int = 200
) -> Reply:
    return Reply(status, encode({"code": code, "msg": message, "data": data or []}))
