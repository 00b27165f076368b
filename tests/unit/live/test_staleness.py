from __future__ import annotations

from typing import cast

import pytest

from trading_system.domain.errors import Outcome, VenueUnavailable
from trading_system.live.feed import MarketFeed
from trading_system.live.staleness import hold_while_stale, renew_doubtful
from trading_system.risk.holds import Holds
from trading_system.risk.limits import TradingState


class Books:
    """A feed of two symbols of which a test says how many are fresh."""

    def __init__(self) -> None:
        self.symbols = ("A", "B")
        self.fresh = 2

    def fresh_books(self, max_age_s: float) -> int:
        assert max_age_s == 3.5
        return self.fresh


@pytest.mark.parametrize(("fresh", "state"), [(1, TradingState.REDUCING), (0, TradingState.HALTED)])
def test_stale_books_hold_trading_until_all_are_fresh(fresh: int, state: TradingState) -> None:
    books, holds = Books(), Holds()
    feed = cast("MarketFeed", books)
    hold_while_stale(feed, holds, limit_s=3.5)
    assert holds.state is TradingState.ACTIVE
    books.fresh = fresh
    hold_while_stale(feed, holds, limit_s=3.5)
    hold_while_stale(feed, holds, limit_s=3.5)
    assert holds.state is state
    assert f"{2 - fresh} of 2" in holds.reasons["stale-book"]
    books.fresh = 2
    hold_while_stale(feed, holds, limit_s=3.5)
    assert holds.state is TradingState.ACTIVE


def test_the_hold_follows_the_books_in_both_directions() -> None:
    books, holds = Books(), Holds()
    for fresh, state in (
        (1, TradingState.REDUCING),
        (0, TradingState.HALTED),
        (1, TradingState.REDUCING),
    ):
        books.fresh = fresh
        hold_while_stale(cast("MarketFeed", books), holds, limit_s=3.5)
        assert holds.state is state
        assert f"{2 - fresh} of 2" in holds.reasons["stale-book"]


class Doubts:
    """A feed of which a test says what is overdue."""

    def __init__(self) -> None:
        self.mute = False
        self.due: dict[str, str] = {}

    def is_mute(self) -> bool:
        return self.mute

    def overdue(self) -> dict[str, str]:
        return self.due


class Stream:
    """Notes what is asked of it, and fails if the test wants it to."""

    def __init__(self) -> None:
        self.is_up = True
        self.asked: list[str | None] = []
        self.is_failing = False

    async def resync(self, topic: str | None = None) -> bool:
        self.asked.append(topic)
        if self.is_failing:
            raise VenueUnavailable(
                "gone", venue="bybit", operation="stream.send", outcome=Outcome.NOT_SENT
            )
        return True


async def test_topics_in_doubt_are_renewed_and_a_mute_stream_is_opened_anew() -> None:
    doubts, stream = Doubts(), Stream()
    feed = cast("MarketFeed", doubts)
    await renew_doubtful(feed, stream)
    assert stream.asked == []
    doubts.due = {"orderbook.50.A": "suspect", "orderbook.1.B": "silent"}
    await renew_doubtful(feed, stream)
    assert stream.asked == ["orderbook.50.A", "orderbook.1.B"]
    doubts.mute = True
    await renew_doubtful(feed, stream)
    assert stream.asked[2:] == [None]


async def test_a_stream_that_is_lost_while_it_is_asked_is_left_to_its_reconnect() -> None:
    doubts, stream = Doubts(), Stream()
    doubts.due = {"orderbook.50.A": "suspect"}
    stream.is_failing = True
    await renew_doubtful(cast("MarketFeed", doubts), stream)
    stream.is_up = False
    await renew_doubtful(cast("MarketFeed", doubts), stream)
    assert stream.asked == ["orderbook.50.A"]
