"""Every example of the venue's documentation is understood, with more or fewer optional keys."""

from __future__ import annotations

import json
import random
from decimal import Decimal
from typing import Any, cast

import bybit_examples
import msgspec
import pytest
from bybit_rig import signer
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import Fill, OrderReport, OrderStatus, Side
from trading_system.execution.engine import ExecutionEngine
from trading_system.live.account import AccountFeed
from trading_system.market import decode
from trading_system.market.book import OrderBook
from trading_system.runtime.clock import ManualClock
from trading_system.venues.bybit import wire
from trading_system.venues.bybit.streams import BybitStream, StreamCallbacks
from trading_system.venues.bybit.trade_stream import BybitTradeStream

PUSHES = {
    "order": bybit_examples.ORDER_PUSH,
    "execution": bybit_examples.EXECUTION_PUSH,
    "position": bybit_examples.POSITION_PUSH,
    "wallet": bybit_examples.WALLET_PUSH,
}
NEEDED = {
    "order": {"orderId", "symbol", "side", "orderStatus", "qty", "cumExecQty", "updatedTime"},
    "execution": {
        "execId",
        "orderId",
        "symbol",
        "side",
        "execPrice",
        "execQty",
        "execFee",
        "execTime",
    },
    "position": {"symbol", "side", "size"},
    "wallet": {"totalEquity"},
}
FAST = {
    "category": "linear",
    "symbol": "ABCUSDT",
    "orderId": "o-2",
    "isMaker": False,
    "orderLinkId": "",
    "execId": "e-1",
    "execPrice": "10.02",
    "execQty": "2",
    "side": "Buy",
    "execTime": "1700000001004",
    "seq": 990021,
}
TICKER = {
    "symbol": "ABCUSDT",
    "tickDirection": "PlusTick",
    "lastPrice": "10.02",
    "markPrice": "10.01",
    "indexPrice": "10.00",
    "openInterest": "5000",
    "nextFundingTime": "1700006400000",
    "fundingRate": "0.0001",
    "bid1Price": "10.00",
    "curPreListingPhase": "",
}
TRADE = {"T": 1, "s": "ABCUSDT", "S": "Buy", "v": "2", "p": "10.02", "i": "t-1", "seq": 3}
TRADE |= {"L": "PlusTick", "BT": False, "RPI": False}


class Recorder:
    """Stands for the engine: notes what it is told."""

    def __init__(self) -> None:
        self.reports: list[OrderReport] = []
        self.fills: list[Fill] = []

    def on_report(self, report: OrderReport) -> None:
        self.reports.append(report)

    def on_fill(self, fill: Fill) -> None:
        self.fills.append(fill)


def account() -> tuple[Recorder, AccountFeed]:
    recorder = Recorder()
    return recorder, AccountFeed(cast("ExecutionEngine", recorder))


def instrument() -> Instrument:
    return wire.instrument(json.loads(bybit_examples.INSTRUMENT))


def test_the_instrument_row() -> None:
    rules = instrument()
    assert (rules.symbol, rules.tick_size, rules.qty_step) == (
        "ABCUSDT",
        Decimal("0.01"),
        Decimal("0.1"),
    )
    assert (rules.min_notional, rules.max_market_qty) == (Decimal(5), Decimal(1_000))


def test_the_book_delta_follows_its_snapshot() -> None:
    book, delta = OrderBook(instrument(), depth=50), json.loads(bybit_examples.BOOK_DELTA)
    snapshot = json.loads(bybit_examples.BOOK_DELTA) | {"type": "snapshot"}
    snapshot["data"] |= {"u": 4411, "seq": 990000, "b": [["10.01", "1.0"]], "a": []}
    assert book.apply_frame(json.dumps(snapshot).encode(), 0)
    assert book.apply_frame(json.dumps(delta).encode(), 0)
    assert (book.levels(Side.BUY, 9), book.levels(Side.SELL, 9)) == ([(1000, 75)], [(1003, 20)])


def test_private_pushes_are_read_in_full_and_without_a_difference() -> None:
    recorder, feed = account()
    for push in PUSHES.values():
        feed.on_frame(push.encode(), 0)
    feed.on_frame(json.dumps({"topic": "execution.fast", "data": [FAST]}).encode(), 0)
    assert dict(feed.drift.counts) == {}
    (report,) = recorder.reports
    assert (report.link_id, report.status, report.price) == (
        "lk-1",
        OrderStatus.NEW,
        Decimal("9.90"),
    )
    assert [(fill.exec_id, fill.fee) for fill in recorder.fills] == [
        ("e-1", Decimal("0.011022")),
        ("e-2", Decimal("0.0055165")),
    ]
    assert feed.venue_positions == {"ABCUSDT": Decimal(3)}
    assert feed.equity == Decimal("9999.9434615")
    assert (feed.fast.first, feed.fast.conflicts) == (0, 0)


@pytest.mark.parametrize(
    "text", [*bybit_examples.PUBLIC_CONTROLS, *bybit_examples.PRIVATE_CONTROLS]
)
def test_control_replies_of_both_streams(text: str) -> None:
    frames: list[bytes] = []
    callbacks = StreamCallbacks(
        on_frame=lambda frame, _ns: frames.append(frame),
        on_up=lambda: None,
        on_down=lambda _reason: None,
    )
    stream = BybitStream(
        "ws://x", ["order"], callbacks=callbacks, clock=ManualClock(), jitter=random.Random(1)
    )
    stream.opened()
    assert stream.received(text.encode(), 0) is None
    assert frames == []


@pytest.mark.parametrize(
    "text",
    [bybit_examples.CREATE_ACK, bybit_examples.AUTH_ACK, *bybit_examples.TRADE_CONTROLS],
)
def test_replies_of_the_order_stream(text: str) -> None:
    stream = BybitTradeStream(
        "ws://x", signer=signer(), clock=ManualClock(), jitter=random.Random(1)
    )
    reply = stream._decoder.decode(text)
    assert reply.retCode == 0


def test_the_reply_to_an_order() -> None:
    envelope = msgspec.json.decode(bybit_examples.CREATE_REPLY, type=wire.Envelope)
    assert (envelope.retCode, envelope.time) == (0, 1_700_000_000_011)


unknown_keys = st.dictionaries(
    st.sampled_from(["x", "newKey", "extra"]), st.one_of(st.none(), st.integers(), st.text("ab"))
)


@settings(max_examples=40, deadline=None)
@given(topic=st.sampled_from(sorted(PUSHES)), seed=st.integers(0, 2**32), extra=unknown_keys)
def test_missing_optional_and_unknown_keys_never_break_a_private_push(
    topic: str, seed: int, extra: dict[str, Any]
) -> None:
    rng, push = random.Random(seed), json.loads(PUSHES[topic])
    push["data"] = [
        {k: v for k, v in row.items() if k in NEEDED[topic] or rng.random() < 0.5} | extra
        for row in push["data"]
    ]
    recorder, feed = account()
    feed.on_frame(json.dumps(push | extra).encode(), 0)
    assert len(recorder.reports) == (topic == "order")
    assert len(recorder.fills) == 2 * (topic == "execution")
    assert bool(feed.venue_positions) is (topic == "position")
    assert (feed.equity is not None) is (topic == "wallet")


@settings(max_examples=40, deadline=None)
@given(
    topic=st.sampled_from(sorted(PUSHES)),
    seed=st.integers(0, 2**32),
    odd=st.one_of(st.none(), st.integers(), st.booleans(), st.just("?"), st.just([])),
)
def test_optional_values_of_any_type_are_counted_and_do_not_break_a_push(
    topic: str, seed: int, odd: object
) -> None:
    rng, push = random.Random(seed), json.loads(PUSHES[topic])
    kept = NEEDED[topic] | {"category", "execType", "orderLinkId", "updatedTime"}
    push["data"] = [
        {k: v if k in kept or rng.random() < 0.5 else odd for k, v in row.items()}
        for row in push["data"]
    ]
    recorder, feed = account()
    feed.on_frame(json.dumps(push).encode(), 0)
    assert len(recorder.reports) == (topic == "order")
    assert len(recorder.fills) == 2 * (topic == "execution")


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), extra=unknown_keys)
def test_missing_optional_and_unknown_keys_never_break_a_public_push(
    seed: int, extra: dict[str, Any]
) -> None:
    rng = random.Random(seed)
    ticker = {k: v for k, v in TICKER.items() if k == "symbol" or rng.random() < 0.5} | extra
    trade = {k: v for k, v in TRADE.items() if k in "TsSvpi" or rng.random() < 0.5} | extra
    head = {"type": "snapshot", "ts": 1, **extra}
    state = decode.decode_ticker(
        json.dumps({"topic": "tickers.ABCUSDT", "data": ticker, **head}).encode(), 0
    )
    assert (state.mark_price is not None) is ("markPrice" in ticker)
    frame = json.dumps({"topic": "publicTrade.ABCUSDT", "data": [trade], **head}).encode()
    assert [tick.price for tick in decode.decode_trades(frame, 0)] == [10.02]
    book = json.loads(bybit_examples.BOOK_DELTA) | extra
    del book["cts"]
    book["data"] |= extra
    assert decode.decode_book(json.dumps(book).encode()).update_id == 4412
