"""The part of the script that changes nothing: queries, streams, books."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from trading_system.cli.doctor.findings import CheckStatus
from trading_system.cli.doctor.probe import Answer
from trading_system.cli.doctor.venue import judge_clock, judge_key
from trading_system.cli.live_check.link import Heard, HostLink, HostStream, Row
from trading_system.domain.errors import (
    CorruptDataError,
    Outcome,
    SequenceGapError,
    VenueRejected,
    VenueUnavailable,
)
from trading_system.domain.instruments import Instrument
from trading_system.live.trust import BookTrust
from trading_system.market.book import OrderBook
from trading_system.market.contiguity import Contiguity
from trading_system.market.decode import peek_topic
from trading_system.venues.bybit.wire import instrument

PRIVATE_TOPICS: Final = ("order", "execution", "position", "wallet")
"""Topics of the private stream that the script subscribes."""

_STALE_MS: Final = 30_000
_ACK_S: Final = 5.0
UNREADABLE: Final = (KeyError, IndexError, TypeError, ValueError, InvalidOperation)
"""What reading an answer raises where something is missing from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """What orders are made from: the contract, its best bid, and the account's position index.

    ``is_clear`` says that the account has neither orders nor a position in the contract.
    """

    instrument: Instrument
    best_bid: Decimal
    position_idx: int
    is_clear: bool


async def read_all(
    link: HostLink, symbol: str, *, is_demo: bool, allow_transfer: bool, recv_window_ms: int
) -> Market:
    """Ask every query once and return what orders need.

    Raises
    ------
    VenueUnavailable
        If the host does not answer, or answers without what is needed.
    VenueRejected
        If it refuses a query, or the key may do what it must not.
    """
    await _read_time(link, recv_window_ms=recv_window_ms)
    await _read_key(link, allow_transfer=allow_transfer)
    of_symbol = {"category": "linear", "symbol": symbol}
    listed = await _needed(link, "instruments-info", "instruments", of_symbol, signed=False)
    ticker = await _needed(link, "tickers", "ticker", of_symbol, signed=False)
    positions = await _needed(link, "/v5/position/list", "positions", of_symbol)
    orders = await _needed(link, "/v5/order/realtime", "open orders", of_symbol)
    for name in ("orderbook", "recent-trade", "price-limit", "funding/history", "risk-limit"):
        await _tried(link, name, name, of_symbol, signed=False)
    await _tried(link, "kline", "kline", of_symbol | {"interval": "1", "limit": "5"}, signed=False)
    for path, step in _histories(is_demo=is_demo):
        await _tried(link, path, step, of_symbol)
    await _read_account(link, is_demo=is_demo)
    # A request that claims to be old must be refused; it is the one that asks for least.
    await link.read("/v5/account/info", step="stale stamp", age_ms=_STALE_MS)
    return _market(listed, ticker, positions, orders)


async def _needed(
    link: HostLink,
    path: str,
    step: str,
    query: Mapping[str, str] | None = None,
    *,
    signed: bool = True,
) -> Row:
    full = path if path.startswith("/") else f"/v5/market/{path}"
    return await expect(link.read(full, query, step=step, signed=signed), step=step)


# The script goes on without what no later step needs.
async def _tried(
    link: HostLink,
    path: str,
    step: str,
    query: Mapping[str, str] | None = None,
    *,
    signed: bool = True,
) -> None:
    try:
        await _needed(link, path, step, query, signed=signed)
    except VenueRejected as e:
        link.seen.problems.append(str(e))


def _histories(*, is_demo: bool) -> list[tuple[str, str]]:
    paths = [
        ("/v5/order/history", "order history"),
        ("/v5/execution/list", "executions"),
        ("/v5/position/closed-pnl", "closed profits"),
    ]
    return paths if is_demo else [*paths, ("/v5/account/fee-rate", "fee rate")]


async def _read_time(link: HostLink, *, recv_window_ms: int) -> None:
    sent_ns = link.clock.utc_ns()
    row = await _needed(link, "time", "time", signed=False)
    answer = Answer(result=row["result"], headers={}, sent_ns=sent_ns, back_ns=link.clock.utc_ns())
    try:
        finding, link.offset_ns = judge_clock(answer, recv_window_ms=recv_window_ms)
    except UNREADABLE as e:
        raise _lacking("time", e) from e
    if finding.status is not CheckStatus.OK:
        link.seen.problems.append(f"clock: {finding.detail}; {finding.remedy}")


async def _read_key(link: HostLink, *, allow_transfer: bool) -> None:
    row = await _needed(link, "/v5/user/query-api", "key")
    try:
        finding = judge_key(
            row["result"], allow_transfer=allow_transfer, now_ns=link.clock.utc_ns()
        )
    except UNREADABLE as e:
        raise _lacking("key", e) from e
    if finding.status is CheckStatus.FAILED:
        raise VenueRejected(
            f"{finding.detail}; {finding.remedy}",
            venue="bybit",
            operation="user/query-api",
            outcome=Outcome.NOT_SENT,
        )


async def _read_account(link: HostLink, *, is_demo: bool) -> None:
    await _tried(link, "/v5/account/wallet-balance", "wallet", {"accountType": "UNIFIED"})
    await _tried(link, "/v5/account/info", "account")
    if not is_demo:
        await _tried(link, "/v5/account/query-dcp-info", "disconnect protection")


async def expect(asked: Awaitable[Row], *, step: str) -> Row:
    """Return the answer that ``asked`` brings.

    Raises
    ------
    VenueRejected
        If its code is not 0.
    """
    row = await asked
    if row.get("retCode") != 0 or not isinstance(row.get("result"), dict):
        raise VenueRejected(
            f"{row.get('retCode')} {row.get('retMsg', '')}",
            venue="bybit",
            operation=step,
            outcome=Outcome.REJECTED,
        )
    return row


def _market(listed: Row, ticker: Row, positions: Row, orders: Row) -> Market:
    try:
        rows = positions["result"]["list"]
        return Market(
            instrument=instrument(listed["result"]["list"][0]),
            best_bid=Decimal(ticker["result"]["list"][0]["bid1Price"]),
            position_idx=1 if any(int(row["positionIdx"]) for row in rows) else 0,
            is_clear=not orders["result"]["list"]
            and all(not Decimal(row["size"] or "0") for row in rows),
        )
    except (CorruptDataError, *UNREADABLE) as e:
        raise _lacking("market", e) from e


def _lacking(operation: str, cause: Exception) -> VenueUnavailable:
    return VenueUnavailable(
        f"the answer lacks what orders need: {cause!r}",
        venue="bybit",
        operation=operation,
        outcome=Outcome.NOT_SENT,
    )


class WatchedBooks:
    """The books of one contract, judged by the rules of trading.

    Level 1 is the second witness of the 50 levels that decide; 200 levels are the context.
    """

    def __init__(self, contract: Instrument) -> None:
        self.top = OrderBook(contract, depth=1)
        self.book = OrderBook(contract, depth=50, contiguity=Contiguity())
        self.context = OrderBook(contract, depth=200, contiguity=Contiguity())
        self.by_topic = {each.topic: each for each in (self.top, self.book, self.context)}
        self.trust = BookTrust(self.book, self.top, self.context)
        self.overdue: dict[str, str] = {}
        self._heard_ns: dict[str, int] = {}
        self._silence_ns = dict.fromkeys(self.by_topic, 0)

    def on_frame(self, raw: bytes, now_ns: int) -> None:
        """Apply one frame, if it is of a book."""
        topic = peek_topic(raw)
        book = self.by_topic.get(topic)
        if book is None:
            return
        last_ns = self._heard_ns.get(topic, now_ns)
        self._silence_ns[topic] = max(self._silence_ns[topic], now_ns - last_ns)
        self._heard_ns[topic] = now_ns
        # A refused message is counted by the book itself.
        with suppress(CorruptDataError, SequenceGapError):
            book.apply_frame(raw, now_ns)
        if book is self.book and book.is_suspect:
            self.trust.on_suspect(now_ns)
        if book is self.top:
            self.trust.on_top(now_ns)
        self.overdue.update(self.trust.overdue(now_ns))

    def figures(self) -> dict[str, dict[str, Any]]:
        """Return counts by topic; silence in milliseconds."""
        return {
            topic: {
                "messages": book.messages,
                "is_ready": book.is_ready,
                "gaps": book.gaps,
                "crossed": book.crossed,
                "rejected": book.rejected,
                "suspicions": book.suspicions,
                "cleared": book.cleared,
                "longest_silence_ms": self._silence_ns[topic] // 1_000_000,
            }
            for topic, book in self.by_topic.items()
        }

    def problems(self) -> list[str]:
        """Return what a person must look at."""
        found = [f"{topic}: {reason}" for topic, reason in self.overdue.items()]
        for topic, book in self.by_topic.items():
            if not book.is_ready:
                found.append(f"{topic}: no book that can be trusted at the end")
            for name, count in (("crossed", book.crossed), ("rejected", book.rejected)):
                if count:
                    found.append(f"{topic}: {count} messages {name}")
            if book.gaps:
                found.append(f"{topic}: {book.gaps} gaps")
        if self.trust.refuted:
            found.append(f"level 1 refuted the book {self.trust.refuted} times")
        return found


async def watch_public(link: HostLink, contract: Instrument, *, seconds: float) -> None:
    """Subscribe the public topics and judge the books for ``seconds``."""
    books = WatchedBooks(contract)
    symbol = contract.symbol
    topics = [*books.by_topic, f"publicTrade.{symbol}", f"tickers.{symbol}", f"kline.1.{symbol}"]
    async with link.stream("public", link.endpoints.public_linear) as stream:
        await _greet(stream)
        clock = link.clock

        def take(heard: Heard) -> None:
            note_push(link, "public", heard[1])
            books.on_frame(heard[0], clock.monotonic_ns())

        books.trust.on_connected(clock.monotonic_ns())
        reply = await stream.ask("subscribe", {"args": topics}, id_key="req_id", also=take)
        _judge(link, "public subscribe", reply)
        end_ns = clock.monotonic_ns() + round(seconds * 1e9)
        while (left_ns := end_ns - clock.monotonic_ns()) > 0:
            heard = await stream.hear(left_ns / 1e9)
            if heard is not None:
                take(heard)
    link.seen.books = books.figures()
    link.seen.problems += books.problems()


async def log_in(stream: HostStream) -> None:
    """Authenticate the private stream and subscribe its topics.

    Raises
    ------
    VenueRejected
        If the host refuses.
    """
    link = stream.link
    asked: Mapping[str, Any] = {"args": link.auth_args()}
    reply = await stream.ask("auth", dict(asked), id_key="req_id", also=_ignore)
    _judge(link, "private auth", reply)
    await _greet(stream)
    topics = {"args": list(PRIVATE_TOPICS)}
    reply = await stream.ask("subscribe", topics, id_key="req_id", also=_ignore)
    _judge(link, "private subscribe", reply)


async def _greet(stream: HostStream) -> None:
    pong = await stream.ask("ping", {}, id_key="req_id", also=_ignore)
    stream.link.seen.note(f"{stream.channel} pong", pong)


def _judge(link: HostLink, step: str, reply: Row) -> None:
    link.seen.note(step, reply)
    if reply.get("success") is not True:
        raise VenueRejected(
            str(reply.get("ret_msg", "")),
            venue="bybit",
            operation=step,
            outcome=Outcome.REJECTED,
        )


def note_push(link: HostLink, channel: str, row: Row) -> None:
    """Note the shape of a pushed message; changes of a ticker are left out."""
    kind = str(row.get("topic", "")).rpartition(".")[0] or str(row.get("topic", ""))
    if not kind:
        return
    # A change carries only what changed: its keys say nothing.
    if kind == "tickers" and row.get("type") == "delta":
        return
    link.seen.note(f"{channel} {kind}", row)


def _ignore(heard: Heard) -> None:
    del heard
