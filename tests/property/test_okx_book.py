"""The OKX book against a slow obvious model, with gaps, resets and hostile frames."""

import json
import random
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from okx_server import SPOT, SWAP

from trading_system.domain.errors import CorruptDataError, SequenceGapError, VenueUnavailable
from trading_system.domain.orders import Side
from trading_system.runtime.clock import ManualClock
from trading_system.venues.okx.book import OkxBook
from trading_system.venues.okx.feed import OkxExtras, OkxPublicFeed
from trading_system.venues.okx.wire import BookRow

pytestmark = pytest.mark.no_cover

NAME = "ABC-USDT-SWAP"
DEPTH = 50
MUTATIONS = 5_000
prices = st.integers(1, 140).map(lambda n: f"{Decimal(n) / 10}")
sizes = st.sampled_from(["0", "0.0", "1", "2.50", "1000"])
positive = st.sampled_from(["1", "2.50", "1000"])
changes = st.dictionaries(prices, sizes, max_size=8)
whole = st.dictionaries(prices, positive, max_size=80)


def rows(levels):
    return [(price, size, "0", "1") for price, size in levels.items()]


class OkxBookMachine(RuleBasedStateMachine):
    @initialize()
    def start(self):
        self.book = OkxBook(NAME, channel="books50-l2-tbt")
        self.bids, self.asks, self.seq, self.is_ready = {}, {}, None, False

    def row(self, bids, asks, previous, sequence):
        return BookRow(
            asks=rows(asks), bids=rows(bids), ts="5", prev_seq_id=previous, seq_id=sequence
        )

    def expect(self, bids, asks, row, *, is_snapshot):
        for side, levels in ((self.bids, bids), (self.asks, asks)):
            for price, size in levels.items():
                side[Decimal(price)] = size
        self.bids = {p: s for p, s in self.bids.items() if Decimal(s)}
        self.asks = {p: s for p, s in self.asks.items() if Decimal(s)}
        if self.bids and self.asks and max(self.bids) >= min(self.asks):
            kind = CorruptDataError if is_snapshot else SequenceGapError
            with pytest.raises(kind, match="at or above"):
                self.book.apply(row, 1, is_snapshot=is_snapshot)
            self.forget()
            return
        self.bids = dict(sorted(self.bids.items(), reverse=True)[:DEPTH])
        self.asks = dict(sorted(self.asks.items())[:DEPTH])
        self.seq, self.is_ready = row.seq_id, True
        assert self.book.apply(row, 1, is_snapshot=is_snapshot)

    def forget(self):
        self.bids, self.asks, self.is_ready = {}, {}, False

    @rule(bids=whole, asks=whole, sequence=st.integers(0, 99))
    def snapshot(self, bids, asks, sequence):
        shifted = {f"{Decimal(price) + 14}": size for price, size in asks.items()}
        self.bids, self.asks = {}, {}
        self.expect(bids, shifted, self.row(bids, shifted, -1, sequence), is_snapshot=True)

    @rule(bids=whole, asks=whole)
    def snapshot_that_may_cross(self, bids, asks):
        self.bids, self.asks = {}, {}
        self.expect(bids, asks, self.row(bids, asks, -1, 1), is_snapshot=True)

    @rule(bids=changes, asks=changes, step=st.integers(-5, 9), is_high=st.booleans())
    def update(self, bids, asks, step, is_high):
        if not self.is_ready:
            row = self.row(bids, asks, 3, 4)
            assert not self.book.apply(row, 1, is_snapshot=False)
            return
        if is_high:
            asks = {f"{Decimal(price) + 14}": size for price, size in asks.items()}
        row = self.row(bids, asks, self.seq, max(0, self.seq + step))
        if not bids and not asks and row.seq_id == self.seq:
            assert not self.book.apply(row, 1, is_snapshot=False)
            return
        self.expect(bids, asks, row, is_snapshot=False)

    @rule(bids=changes, off=st.integers(1, 5))
    def gap(self, bids, off):
        if self.is_ready:
            row = self.row(bids, {}, self.seq + off, self.seq + off + 1)
            with pytest.raises(SequenceGapError):
                self.book.apply(row, 1, is_snapshot=False)
            self.forget()

    @rule(bids=changes, bad=st.sampled_from(["x", "-1", "nan", "", "1e3"]))
    def malformed(self, bids, bad):
        if self.is_ready:
            row = self.row(bids, {"99": bad}, self.seq, self.seq + 1)
            with pytest.raises(CorruptDataError):
                self.book.apply(row, 1, is_snapshot=False)

    @invariant()
    def equals(self):
        assert self.book.is_ready == self.is_ready
        for side, model, worst_first in (
            (Side.BUY, self.bids, True),
            (Side.SELL, self.asks, False),
        ):
            expected = sorted(model.items(), reverse=worst_first)
            assert self.book.levels(side, 999) == [(float(p), float(s)) for p, s in expected]
            assert [size for _, size in self.book.texts(side, 999)] == [s for _, s in expected]


TestOkxBook = OkxBookMachine.TestCase
TestOkxBook.settings = settings(max_examples=40, stateful_step_count=30)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=12,
)
ARG = {"channel": "books", "instId": NAME}


@given(json_values, json_values)
def test_no_json_crashes_the_book(anything, data):
    book = OkxBook(NAME)
    for message in (anything, {"arg": ARG, "data": data}, {"arg": ARG, "data": [data]}):
        try:
            book.apply_frame(json.dumps(message).encode(), 1)
        except CorruptDataError:
            continue


def test_no_mutation_of_a_real_frame_crashes_the_book():
    rng = random.Random(4)
    level = ["10.04", "3", "0", "1"]
    row = {"asks": [["10.05", "2", "0", "1"]], "bids": [level], "ts": "17", "checksum": 0}
    row |= {"prevSeqId": -1, "seqId": 7}
    frame = json.dumps({"arg": ARG, "action": "snapshot", "data": [row]}).encode()
    for _ in range(MUTATIONS):
        broken = bytearray(frame)
        for _ in range(rng.randint(1, 4)):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        book = OkxBook(NAME)
        try:
            book.apply_frame(bytes(broken), 1)
        except CorruptDataError:
            continue
        bid, ask = book.best_bid, book.best_ask
        assert book.is_ready or book.ignored
        assert bid is None or ask is None or bid[0] < ask[0]


names = st.sampled_from([NAME, "ABC-USDT", "OTHER", ""])
args = st.fixed_dictionaries(
    {"channel": st.sampled_from(["books", "trades", "tickers", "instruments", "bbo-tbt"])},
    optional={"instId": names, "instType": st.sampled_from(["SWAP", "SPOT"])},
)
answers = st.fixed_dictionaries(
    {"event": st.sampled_from(["subscribe", "unsubscribe", "error", "notice", "other"])},
    optional={
        "arg": args,
        "code": st.sampled_from(["60012", "60018", "64003", "64008", "x"]),
        "id": st.sampled_from(["all", "s0", "s1", "s9", "r0", "r1", "u0", "u1", "", "q7"]),
    },
)
texts = st.sampled_from(["1", "0", "-1", "x", ""])
level_rows = st.lists(st.tuples(texts, texts, texts, texts), max_size=2)
sequences = st.sampled_from([-1, 0, 1, None])
data_rows = st.fixed_dictionaries(
    {"asks": level_rows, "bids": level_rows, "ts": texts, "instId": names, "tradeId": texts},
    optional={"prevSeqId": sequences, "seqId": sequences, "px": texts, "sz": texts}
    | {"side": st.sampled_from(["buy", "sell"]), "last": texts, "instType": texts},
)
pushes = st.fixed_dictionaries(
    {"arg": args, "data": st.lists(data_rows, max_size=2) | json_values},
    optional={"action": st.sampled_from(["snapshot", "update"])},
)


@given(st.lists(answers | pushes | json_values, max_size=12), st.booleans())
def test_no_conversation_ends_in_anything_but_a_typed_error(frames, is_told):
    told = [].append if is_told else None
    extras = OkxExtras(on_trade=told, on_ticker=told, on_top=told, on_instrument=told)
    feed = OkxPublicFeed(
        "ws://localhost",
        {NAME: SWAP, SPOT.inst_id: SPOT},
        clock=ManualClock(),
        jitter=random.Random(1),
        extras=extras,
    )
    feed.opened()
    for frame in frames:
        try:
            feed.received(json.dumps(frame).encode(), 1)
        except (CorruptDataError, VenueUnavailable):
            feed.opened()
