"""The order book against a slow obvious model, against its twins and against hostile frames."""

import json
import os
import random
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_system.domain.errors import CorruptDataError, SequenceGapError
from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import Side
from trading_system.market import kernels, kernels_plain
from trading_system.market.book import OrderBook
from trading_system.market.decode import BookMessage

# Heavy work on code that its unit tests cover: measuring it here would only double the time.
pytestmark = pytest.mark.no_cover

FUZZ = os.environ.get("FUZZ") == "1"
LEVEL_CHANGES = 1_000_000
FUZZ_DELTAS = 1_000_000
MUTATIONS = 200_000 if FUZZ else 20_000

INSTRUMENT = Instrument(
    symbol="BTCUSDT",
    base_coin="BTC",
    quote_coin="USDT",
    tick_size=Decimal("0.10"),
    qty_step=Decimal("0.001"),
    min_price=Decimal("0.10"),
    max_price=Decimal(2_000_000),
    min_qty=Decimal("0.001"),
    max_qty=Decimal(1_000),
    max_market_qty=Decimal(100),
)


class Model:
    """Two dictionaries from ticks to lots, sorted from scratch whenever asked."""

    def __init__(self, depth):
        self.depth = depth
        self.bids = {}
        self.asks = {}

    def apply(self, bids, asks, *, replaces):
        sides = []
        for old, changes in ((self.bids, bids), (self.asks, asks)):
            new = {} if replaces else dict(old)
            new.update(changes)
            sides.append({ticks: lots for ticks, lots in new.items() if lots})
        new_bids = dict(sorted(sides[0].items(), reverse=True)[: self.depth])
        new_asks = dict(sorted(sides[1].items())[: self.depth])
        if new_bids and new_asks and max(new_bids) >= min(new_asks):
            self.bids, self.asks = {}, {}
            return False
        self.bids, self.asks = new_bids, new_asks
        return True

    def assert_equals(self, book):
        bids, asks = list(self.bids.items()), list(self.asks.items())
        assert book.levels(Side.BUY, self.depth) == bids
        assert book.levels(Side.SELL, self.depth) == asks
        assert (book.best_bid_ticks, book.best_bid_lots) == (bids[0] if bids else (None, None))
        assert (book.best_ask_ticks, book.best_ask_lots) == (asks[0] if asks else (None, None))
        top_bids = sum(lots for _, lots in bids[:10])
        top_asks = sum(lots for _, lots in asks[:10])
        assert (book.depth_lots(Side.BUY, 10), book.depth_lots(Side.SELL, 10)) == (
            top_bids,
            top_asks,
        )
        total = top_bids + top_asks
        assert book.imbalance(10) == ((top_bids - top_asks) / total if total else None)


class Stream:
    """Random messages around a wandering mid; a few are meant to be refused."""

    def __init__(self, model, seed, changes):
        self.rng = np.random.default_rng(seed)
        self.model = model
        self.changes = changes
        self.mid = 650_000
        self.width = max(8, 2 * model.depth)

    def next(self):
        jumps = self.rng.random() < 0.01
        self.mid += int(self.rng.integers(-20, 21) if jumps else self.rng.integers(-3, 4))
        bids, asks = self._side(-1), self._side(1)
        if jumps:
            # New best prices on the far side of what was there and is not deleted.
            bids[self.mid - 1] = asks[self.mid + 1] = 1
        else:
            # Whatever the mid has moved through is deleted, as a venue would.
            bids.update(dict.fromkeys((t for t in self.model.bids if t >= self.mid), 0))
            asks.update(dict.fromkeys((t for t in self.model.asks if t <= self.mid), 0))
        return bids, asks

    def _side(self, sign):
        count = int(self.rng.integers(0, self.changes + 1))
        distances = self.rng.choice(self.width, size=min(count, self.width), replace=False) + 1
        lots = self.rng.integers(0, 5_000, size=len(distances))
        lots[self.rng.random(len(lots)) < 0.3] = 0
        return {
            self.mid + sign * d: n for d, n in zip(distances.tolist(), lots.tolist(), strict=True)
        }


def message(depth, update_id, bids, asks, *, is_snapshot=False):
    return BookMessage.of(
        topic=f"orderbook.{depth}.BTCUSDT",
        symbol="BTCUSDT",
        is_snapshot=is_snapshot,
        update_id=update_id,
        sequence=1_000 + update_id,
        ts_exchange_ns=1,
        bids=[(ticks / 10, lots / 1_000) for ticks, lots in bids.items()],
        asks=[(ticks / 10, lots / 1_000) for ticks, lots in asks.items()],
    )


def frame(depth, update_id, bids, asks, *, is_snapshot=False):
    def texts(levels):
        # Bybit does not pad: the same grid is spelled with and without trailing zeros.
        return [[str(ticks / 10), str(lots / 1_000)] for ticks, lots in levels.items()]

    return json.dumps(
        {
            "topic": f"orderbook.{depth}.BTCUSDT",
            "type": "snapshot" if is_snapshot else "delta",
            "ts": 1_700_000_000_105,
            "data": {
                "s": "BTCUSDT",
                "b": texts(bids),
                "a": texts(asks),
                "u": update_id,
                "seq": 1_000 + update_id,
            },
            "cts": 1_700_000_000_103,
        },
        separators=(",", ":"),
    ).encode()


def run_stream(depth, seed, *, changes, messages, level_changes, as_frames):
    book, model = OrderBook(INSTRUMENT, depth=depth), Model(depth)
    stream = Stream(model, seed, changes)
    build = frame if as_frames else message
    feed = book.apply_frame if as_frames else book.apply
    update_id, changed, sent, expects_snapshot = 1, 0, 0, True
    while sent < messages and changed < level_changes:
        has_gap = not expects_snapshot and stream.rng.random() < 0.002
        update_id += 2 if has_gap else 1
        bids, asks = stream.next()
        if expects_snapshot:
            bids = {t: n for t, n in bids.items() if n}
            asks = {t: n for t, n in asks.items() if n}
        update = build(depth, update_id, bids, asks, is_snapshot=expects_snapshot)
        if has_gap:
            model = stream.model = Model(depth)
            with pytest.raises(SequenceGapError):
                feed(update, sent)
        elif model.apply(bids, asks, replaces=expects_snapshot):
            assert feed(update, sent)
        else:
            with pytest.raises(CorruptDataError, match="at or above"):
                feed(update, sent)
        model.assert_equals(book)
        expects_snapshot = not book.is_ready or stream.rng.random() < 0.001
        sent += 1
        changed += len(bids) + len(asks)
    return book, changed


@pytest.mark.parametrize(("depth", "changes"), [(50, 30), (200, 120), (1000, 700)])
def test_a_million_level_changes_do_not_diverge_from_the_model(depth, changes):
    share = LEVEL_CHANGES * {50: 3, 200: 5, 1000: 2}[depth] // 10
    book, changed = run_stream(
        depth,
        depth,
        changes=changes,
        messages=10**9,
        level_changes=share,
        as_frames=False,
    )
    assert changed >= share
    assert (book.rejected, book.ignored) == (0, 0)


def test_frames_do_not_diverge_from_the_model():
    book, _ = run_stream(50, 11, changes=8, messages=10_000, level_changes=10**9, as_frames=True)
    assert book.messages == 10_000
    assert (book.rejected, book.ignored) == (0, 0)
    assert book.crossed > 0
    assert book.gaps > 0


@pytest.mark.skipif(not FUZZ, reason="a million deltas take minutes: FUZZ=1")
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(4))
def test_a_million_delta_frames_do_not_diverge_from_the_model(seed):
    book, _ = run_stream(
        (50, 200)[seed % 2],
        100 + seed,
        changes=8,
        messages=FUZZ_DELTAS // 4,
        level_changes=10**12,
        as_frames=True,
    )
    assert book.messages == FUZZ_DELTAS // 4


PLAIN = re.compile(r"(0|[1-9][0-9]*)(\.[0-9]+)?", re.ASCII)
HOSTILE_VALUES = [
    None, True, False, -1, 0, 1, 2**63, 10**400, 1.5, -0.0, float("nan"), float("inf"), "", "1",
    "-1", "0", "nan", "1e9", "+1", " 1", "1 ", "1_0", "٣", "\uff11", "0x10", "1" * 5_000, "\x00",
    "\ud800", [], {}, [[]], [["1"]], [["1", "2", "3"]], [["1", None]], [[1, 2]],
    [["65000.05", "1"]],
    [["65000.0", "0.0005"]], [["65000.0", "-1"]], [["0", "1"]], [["-5", "1"]], [["nan", "1"]],
    [["65000.0", "inf"]], [["65000.0", "1"], ["65000.00", "2"]], [["1e30", "1"]],
    [["65000.0", "1" * 30]], [["65000.0", "0.0000000001"]], [["٦٥٠٠٠", "1"]], {"a": {"a": {}}},
    [[str(60_000 + i), "1"] for i in range(2_001)],
]  # fmt: skip


def paths(tree, prefix=()):
    yield prefix
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in items:
        if isinstance(value, dict | list):
            yield from paths(value, (*prefix, key))
        else:
            yield (*prefix, key)


def swap_value(rng, original):
    tree = json.loads(original)
    path = rng.choice([p for p in paths(tree) if p])
    node = tree
    for key in path[:-1]:
        node = node[key]
    action = rng.random()
    if action < 0.1:
        del node[path[-1]]
    elif action < 0.2 and isinstance(node, dict):
        node[f"x{path[-1]}"] = node.pop(path[-1])
    else:
        node[path[-1]] = rng.choice(HOSTILE_VALUES)
    # NaN and Infinity are spelled the way careless servers spell them; surrogates go out raw.
    ascii_only = rng.random() < 0.5
    return json.dumps(tree, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")


def mutate_bytes(rng, original):
    data = bytearray(original)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        at = rng.randrange(len(data))
        kind = rng.randrange(6)
        if kind == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at] = rng.choice(b'0123456789.,[]{}":-+eEn\\ ')
        elif kind == 2:
            del data[at : len(data) if rng.random() < 0.3 else at + rng.randrange(1, 9)]
        elif kind == 3:
            data[at:at] = bytes(rng.choices(b'0123456789.,[]{}":-', k=rng.randrange(1, 9)))
        elif kind == 4:
            other = rng.randrange(len(data))
            data[at:at] = data[other : other + rng.randrange(1, 60)]
        else:
            data[at:at] = rng.choice((b"[" * 5_000, b'{"a":' * 5_000, b"\xff\xfe", b"\x00"))
        if not data:
            break
    return bytes(data)


def fingerprint(book):
    return (
        book.is_ready, book.update_id, book.sequence, book.ts_exchange_ns, book.received_ns,
        book.levels(Side.BUY, 50), book.levels(Side.SELL, 50), book.best_bid_ticks,
        book.best_bid_lots, book.best_ask_ticks, book.best_ask_lots, book.imbalance(10),
        book.microprice(), book.mid, book.spread,
    )  # fmt: skip


def strict_levels(rows, is_snapshot):
    levels = {}
    for price, size in rows:
        assert isinstance(price, str)
        assert isinstance(size, str)
        assert PLAIN.fullmatch(price)
        assert PLAIN.fullmatch(size)
        ticks = Decimal(price) / INSTRUMENT.tick_size
        lots = Decimal(size) / INSTRUMENT.qty_step
        # Closer to the grid than a float can tell is on the grid.
        assert abs(ticks - round(ticks)) < Decimal("1.1e-6") + ticks * Decimal("1e-15")
        assert abs(lots - round(lots)) < Decimal("1.1e-6") + lots * Decimal("1e-15")
        assert round(ticks) > 0
        assert round(lots) > 0 or (not is_snapshot and lots == 0)
        assert round(ticks) not in levels
        levels[round(ticks)] = round(lots)
    return levels


def assert_legitimate(data, book, model):
    """Read an accepted frame strictly, with other code, and expect the very same book."""
    tree = json.loads(data)
    body = tree["data"]
    is_snapshot = tree["type"] == "snapshot"
    assert tree["topic"] == "orderbook.50.BTCUSDT"
    assert body["s"] == "BTCUSDT"
    assert is_snapshot or tree["type"] == "delta"
    for number in (tree["ts"], body["u"], body["seq"]):
        assert type(number) is int
    assert is_snapshot or body["u"] in {1, 101}
    bids, asks = strict_levels(body["b"], is_snapshot), strict_levels(body["a"], is_snapshot)
    assert model.apply(bids, asks, replaces=is_snapshot or body["u"] == 1)
    model.assert_equals(book)
    assert (book.update_id, book.sequence) == (body["u"], body["seq"])


def test_hostile_frames_are_refused_with_a_typed_error_and_change_nothing():
    rng = random.Random(5)
    bids = {649_990 - 3 * i: 1_000 + i for i in range(40)}
    asks = {650_010 + 3 * i: 2_000 + i for i in range(40)}
    start = frame(50, 100, bids, asks, is_snapshot=True)
    delta = frame(50, 101, {649_993: 5, 649_990: 0, 649_984: 7}, {650_010: 0, 650_016: 9})
    outcomes = {"accepted": 0, "refused": 0, "emptied": 0}
    for _ in range(MUTATIONS):
        book, model = OrderBook(INSTRUMENT, depth=50), Model(50)
        model.apply(bids, asks, replaces=True)
        assert book.apply_frame(start, 1)
        before = fingerprint(book)
        mutate = swap_value if rng.random() < 0.5 else mutate_bytes
        hostile = mutate(rng, rng.choice((delta, delta, start)))
        try:
            assert book.apply_frame(hostile, 2)
        except CorruptDataError as e:
            if isinstance(e, SequenceGapError) or book.crossed:
                outcomes["emptied"] += 1
                assert not book.is_ready
                assert book.mid is None
                assert book.levels(Side.BUY, 50) == book.levels(Side.SELL, 50) == []
            else:
                outcomes["refused"] += 1
                assert fingerprint(book) == before
        else:
            outcomes["accepted"] += 1
            assert_legitimate(hostile, book, model)
    # Most mutations break the frame; the few that spell another valid message are real updates.
    assert outcomes["refused"] > MUTATIONS * 0.6
    assert outcomes["emptied"] > 0


@st.composite
def updates(draw):
    grid = draw(st.sampled_from([(0.1, 0.001), (0.5, 1.0), (1e-8, 1e-6), (1.0, 0.25)]))
    numbers = st.one_of(
        st.integers(0, 30), st.sampled_from([float("nan"), float("inf"), -1.0, 1e300, 0.3, 2.0**44])
    )
    plain = st.integers(1, 30)
    levels = st.lists(st.tuples(plain, st.integers(0, 9)), max_size=9, unique_by=lambda x: x[0])
    wild = st.lists(st.tuples(numbers, numbers), max_size=9)
    modes = st.sampled_from([kernels.DELTA, kernels.DELTA, kernels.REPLACE, kernels.SNAPSHOT])
    sides = st.one_of(levels, levels, levels, wild)
    return grid, draw(st.lists(st.tuples(modes, sides, sides), max_size=12))


def load(update, grid, mode, bids, asks):
    tick, step = grid
    update[:5] = (tick, step, mode, len(bids), len(asks))
    # Bids lie below 30 ticks and asks mostly above, so that about half of all messages are sound.
    rows = [(p * tick, s * step) for p, s in bids] + [((p + 25) * tick, s * step) for p, s in asks]
    for i, (price, size) in enumerate(rows):
        update[5 + 2 * i : 7 + 2 * i] = (price, size)


def visible(book, meta):
    return [book[meta[0] + row, : meta[1 + row // 2]].tolist() for row in range(4)], meta.tolist()


@settings(max_examples=300, deadline=None)
@given(updates(), st.integers(1, 6), st.floats(0.1, 60.0))
def test_compiled_kernels_equal_their_plain_twins(batch, depth, lots):
    grid, messages = batch
    book, meta, update = kernels.allocate(depth)
    twin_book, twin_meta, _ = kernels.allocate(depth)
    for mode, bids, asks in messages:
        room = book.shape[1]
        load(update, grid, mode, bids[:room], asks[:room])
        if max(len(bids), len(asks)) > room:
            update[3:5] = (len(bids), len(asks))
        before = visible(book, meta)
        result = kernels.apply_levels(book, meta, update)
        assert result == kernels_plain.apply_levels(twin_book, twin_meta, update)
        assert visible(book, meta) == visible(twin_book, twin_meta)
        assert result[0] == kernels.OK or visible(book, meta) == before
        for side in (0, 1):
            ours, twins = (
                (k.walk(*state, side, lots), k.depth_lots(*state, side, depth - 1))
                for k, state in ((kernels, (book, meta)), (kernels_plain, (twin_book, twin_meta)))
            )
            assert str(ours) == str(twins)
        for levels in (0, 1, depth):
            ours = kernels.imbalance(book, meta, levels)
            assert str(ours) == str(kernels_plain.imbalance(twin_book, twin_meta, levels))
        micro = kernels.microprice(book, meta)
        assert str(micro) == str(kernels_plain.microprice(twin_book, twin_meta))


def test_kernels_stay_inside_their_arrays(tmp_path):
    script = Path(__file__).with_name("kernel_fuzz.py")
    environment = {
        **os.environ,
        "NUMBA_BOUNDSCHECK": "1",
        "NUMBA_CACHE_DIR": str(tmp_path / "cache"),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    rounds = "200000" if FUZZ else "20000"
    result = subprocess.run(
        [sys.executable, "-W", "error", str(script), rounds],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert result.returncode == 0, result.stderr[-2_000:]
    assert result.stdout.strip() == f"{rounds} rounds"
