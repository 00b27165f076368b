"""OKX's contracts become base currency; an emptied book is told as lost."""

import json
import random
from decimal import Decimal
from typing import Any

import pytest
from okx_server import OkxServer, alive, becomes_true, book_row, data, snapshot

from trading_system.cost_simulator.feeds import Listeners, Tick, not_offered
from trading_system.cost_simulator.okx import OkxBookFeed, confirmed_ns
from trading_system.runtime.clock import ManualClock, SystemClock
from trading_system.venues.link_state import LinkState
from trading_system.venues.okx.hosts import OkxHosts
from trading_system.venues.okx.instruments import OkxContract, OkxInstrument, OkxInstType

SWAP = "BTC-USDT-SWAP"
HOSTS = OkxHosts(rest="http://127.0.0.1:1", ws="ws://127.0.0.1:1")
RULES = {
    SWAP: OkxInstrument(
        inst_id=SWAP,
        inst_type=OkxInstType.SWAP,
        base="BTC",
        quote="USDT",
        tick=Decimal("0.1"),
        lot=Decimal("0.1"),
        min_size=Decimal("0.1"),
        contract_value=Decimal("0.01"),
        contract=OkxContract.LINEAR,
    ),
    "BTC-USDT": OkxInstrument(
        inst_id="BTC-USDT",
        inst_type=OkxInstType.SPOT,
        base="BTC",
        quote="USDT",
        tick=Decimal("0.1"),
        lot=Decimal("0.0001"),
        min_size=Decimal("0.0001"),
    ),
}


class Rig:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.ticks: list[Tick] = []
        self.lost: list[str] = []
        self.feed = OkxBookFeed(
            HOSTS, RULES, channel="books", clock=self.clock, jitter=random.Random(1)
        )

    def listen(self) -> None:
        self.feed.listen(Listeners(on_tick=self.ticks.append, on_lost=self.lost.append))

    def send(self, action: str, bids: Any, asks: Any, *, seq: int, before: int = -1) -> None:
        row = {
            "bids": [[price, size, "0", "1"] for price, size in bids],
            "asks": [[price, size, "0", "1"] for price, size in asks],
            "ts": "1700000000123",
            "checksum": 0,
            "prevSeqId": before,
            "seqId": seq,
        }
        frame = {"arg": {"channel": "books", "instId": SWAP}, "action": action, "data": [row]}
        text = json.dumps(frame, separators=(",", ":")).encode()
        self.feed._feed.received(text, self.clock.monotonic_ns())

    def send_top(self, bid: tuple[str, str], ask: tuple[str, str]) -> None:
        row = {"bids": [[*bid, "0", "1"]], "asks": [[*ask, "0", "1"]], "ts": "1", "seqId": 1}
        frame = {"arg": {"channel": "bbo-tbt", "instId": SWAP}, "data": [row]}
        self.feed._feed.received(json.dumps(frame).encode(), self.clock.monotonic_ns())

    def hear(self) -> None:
        link = self.feed._feed._link
        link._life.state, link.last_frame_ns = LinkState.LIVE, self.clock.monotonic_ns()


@pytest.fixture
def rig() -> Rig:
    rig = Rig()
    rig.listen()
    rig.send("snapshot", [("99.9", "200")], [("100.1", "300")], seq=10)
    return rig


def test_contracts_are_turned_into_base_currency(rig: Rig) -> None:
    view = rig.feed.view(SWAP)
    assert view is not None
    assert (list(view.bids), list(view.asks)) == ([(99.9, 2.0)], [(100.1, 3.0)])
    assert (view.sequence, view.ts_exchange_ns) == (10, 1_700_000_000_123_000_000)
    assert rig.ticks[0].mid == pytest.approx(100.0)
    assert rig.feed.figures()["gaps"] == 0


def test_an_update_is_another_version_and_the_same_book_is_not_built_twice(rig: Rig) -> None:
    before, again = rig.feed.view(SWAP), rig.feed.view(SWAP)
    rig.send("update", [("99.9", "100")], [], seq=11, before=10)
    after = rig.feed.view(SWAP)
    assert before is not None
    assert again is not None
    assert after is not None
    assert before.bids is again.bids
    assert after.version > before.version
    assert list(after.bids) == [(99.9, 1.0)]


def test_a_gap_empties_the_book_and_tells_the_listener(rig: Rig) -> None:
    rig.send("update", [("99.9", "100")], [], seq=31, before=30)
    assert rig.feed.view(SWAP) is None
    assert rig.lost == [SWAP]


def test_a_one_sided_book_is_no_book(rig: Rig) -> None:
    rig.send("update", [], [("100.1", "0")], seq=11, before=10)
    assert rig.feed.view(SWAP) is None


def test_spot_and_swap_are_priced_as_what_they_are() -> None:
    rig = Rig()
    assert rig.feed.products == {SWAP: "perpetual", "BTC-USDT": "spot"}
    assert rig.feed.exchange == "okx"
    rig.send("snapshot", [("99.9", "200")], [("100.1", "300")], seq=10)
    assert rig.feed.view(SWAP) is not None
    assert rig.feed.view("BTC-USDT") is None


def test_a_quiet_book_is_vouched_for_only_while_level_1_shows_the_same(rig: Rig) -> None:
    def confirmed_s() -> float:
        view = rig.feed.view(SWAP)
        assert view is not None
        assert view.received_ns == 0
        return view.confirmed_ns / 1e9

    rig.clock.advance(3)
    rig.hear()
    assert confirmed_s() == 0  # nothing is known of level 1
    rig.send_top(("99.9", "200"), ("100.1", "300"))
    assert confirmed_s() == 3
    rig.clock.advance(30)
    rig.hear()
    assert confirmed_s() == 33
    rig.send_top(("99.9", "150"), ("100.1", "300"))
    assert confirmed_s() == 0  # the book was not told of the change
    rig.send_top(("99.9", "200"), ("100.1", "300"))
    assert confirmed_s() == 33
    rig.feed._feed._link._life.state = LinkState.BACKING_OFF
    assert confirmed_s() == 0


def test_an_instrument_that_is_not_offered_has_a_remedy_even_where_none_is() -> None:
    assert "take one of A, B" in str(not_offered("okx", "X", ["A", "B"]))
    assert str(not_offered("okx", "X", [])).endswith("; it lists none now, try again later")


@pytest.mark.parametrize(
    ("heard_s", "confirmed_s"), [(None, 10), (5, 10), (40, 40), (75, 75), (76, 10)]
)
def test_a_live_connection_vouches_for_a_quiet_book_until_the_keep_alive_is_overdue(
    heard_s: int | None, confirmed_s: int
) -> None:
    heard_ns = None if heard_s is None else heard_s * 10**9
    assert confirmed_ns(10 * 10**9, heard_ns=heard_ns) == confirmed_s * 10**9


async def test_a_book_that_okx_has_ended_on_a_live_connection_is_gone_at_once() -> None:
    sides = (("99.9", "200"),), (("100.1", "300"),)
    top = data(book_row(*sides, seqId=9), channel="bbo-tbt", inst_id=SWAP)
    books = snapshot(9, bids=sides[0], asks=sides[1], inst_id=SWAP)
    venue = OkxServer()
    venue.frames = {("books", SWAP): [[books], []], ("bbo-tbt", SWAP): [top]}
    async with venue.running() as address:
        hosts = OkxHosts(rest=f"http://{address}", ws=f"ws://{address}")
        feed = OkxBookFeed(
            hosts,
            {SWAP: RULES[SWAP]},
            channel="books",
            clock=SystemClock(),
            jitter=random.Random(1),
        )
        lost: list[str] = []
        feed.listen(Listeners(on_tick=lambda _tick: None, on_lost=lost.append))
        async with alive(feed):
            await becomes_true(lambda: _is_vouched(feed))
            ended = {"event": "unsubscribe", "arg": {"channel": "books", "instId": SWAP}}
            await venue.push(json.dumps(ended))
            await becomes_true(lambda: lost)
            assert feed.view(SWAP) is None
            await becomes_true(lambda: len(venue.requests) == 2)
            assert feed.figures()["resyncs"] == 1
            assert feed.figures()["is_up"] is True
            assert feed.view(SWAP) is None


def _is_vouched(feed: OkxBookFeed) -> bool:
    view = feed.view(SWAP)
    return view is not None and view.confirmed_ns > view.received_ns
