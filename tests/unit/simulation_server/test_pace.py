"""The market catches up with the clock in bounded turns."""

import logging

from trading_system.simulation.bybit_server.pace import MAX_LAG_MS, MarketPace

STRIDE_NS = 10_000_000


class CostlyVenue:
    def __init__(self, clock):
        self.now_ms = 0
        self.clock = clock

    def advance(self, now_ms):
        assert now_ms > self.now_ms
        self.now_ms = now_ms
        self.clock.ns += STRIDE_NS


class Clock:
    ns = 0

    def monotonic_ns(self):
        return self.ns

    def utc_ns(self):
        return self.ns


def paced():
    clock = Clock()
    venue = CostlyVenue(clock)
    return MarketPace(venue, clock=clock), clock


def test_a_long_pause_is_made_up_in_short_turns():
    pace, clock = paced()
    reached_ms = turns = 0
    while reached_ms < 60_000:
        before_ns = clock.ns
        reached_ms = pace.advance(60_000)
        assert clock.ns - before_ns <= 3 * STRIDE_NS
        turns += 1
    assert turns > 10


def test_a_usual_step_takes_one_turn_and_no_further_one():
    pace, clock = paced()
    assert pace.advance(5) == 5
    spent_ns = clock.ns
    assert pace.advance(5) == 5
    assert clock.ns == spent_ns


def test_a_clock_set_back_leaves_the_market_where_it_is():
    pace, _ = paced()
    pace.advance(100)
    assert pace.advance(40) == 100


def test_falling_behind_is_logged_once(caplog):
    pace, _ = paced()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            pace.advance(60 * MAX_LAG_MS)
    assert len(caplog.records) == 1
