from __future__ import annotations

import msgspec
import pytest

from trading_system.domain.errors import CorruptDataError
from trading_system.runtime.clock import ManualClock
from trading_system.venues.bybit.clock_offset import ClockSample, VenueClock

MS = 1_000_000
SECOND = 1_000 * MS


class Venue:
    """The venue's clock, ahead of this machine's; requests take as long as the test says."""

    def __init__(self, ahead_ms: float = 0.0) -> None:
        self.clock = ManualClock()
        self.seen = VenueClock(self.clock)
        self.utc_at_zero = self.clock.utc_ns() + round(ahead_ms * MS)

    def now_ns(self) -> int:
        return self.utc_at_zero + self.clock.monotonic_ns()

    def ask(self, *, there_ms: float = 1.0, back_ms: float = 1.0) -> None:
        sent_ns = self.clock.monotonic_ns()
        self.clock.advance(there_ms / 1_000)
        server_ns = self.now_ns()
        self.clock.advance(back_ms / 1_000)
        self.seen.note(sent_ns=sent_ns, back_ns=self.clock.monotonic_ns(), server_ns=server_ns)


@pytest.mark.parametrize("ahead_ms", [0.0, 2_000.0, -2_000.0, 499.0])
def test_offset_of_a_skewed_venue_is_found(ahead_ms):
    venue = Venue(ahead_ms)
    venue.ask()
    assert venue.seen.offset_ns == round(ahead_ms * MS)
    assert venue.seen.bound_ns == pytest.approx(MS, rel=1e-3)


def test_before_the_first_sample_there_is_no_offset():
    seen = VenueClock(ManualClock())
    assert (seen.offset_ns, seen.bound_ns, seen.samples, seen.has_moved) == (0, None, 0, False)


def test_fastest_sample_counts_not_the_newest_or_the_mean():
    venue = Venue(100.0)
    venue.ask(there_ms=40.0, back_ms=2.0)
    venue.ask(there_ms=1.0, back_ms=1.0)
    venue.ask(there_ms=2.0, back_ms=60.0)
    assert venue.seen.offset_ns == 100 * MS


def test_error_is_never_larger_than_half_the_round_trip():
    venue = Venue(-700.0)
    venue.ask(there_ms=30.0, back_ms=0.0)
    assert abs(venue.seen.offset_ns + 700 * MS) <= venue.seen.bound_ns
    assert venue.seen.bound_ns == pytest.approx(15 * MS, rel=1e-3)


def test_old_fast_sample_gives_way_when_drift_makes_it_the_worse_one():
    venue = Venue(0.0)
    venue.ask(there_ms=0.5, back_ms=0.5)
    venue.clock.advance(600.0)
    venue.utc_at_zero += 20 * MS  # drifted, within 50 parts per million
    venue.ask(there_ms=1.0, back_ms=1.0)
    assert venue.seen.offset_ns == 20 * MS
    assert venue.seen.steps == 0


def test_samples_older_than_half_an_hour_are_forgotten():
    venue = Venue(0.0)
    venue.ask()
    venue.clock.advance(1_900.0)
    venue.ask()
    assert venue.seen.offset_ns == 0
    assert venue.seen.samples == 1


@pytest.mark.parametrize("step_ms", [2_000, -2_000, 1_000, 3_600_000])
def test_utc_clock_that_is_set_is_seen_at_once_and_stamps_stay_right(step_ms):
    venue = Venue(5.0)
    venue.ask()
    venue.clock.set_utc_ns(venue.clock.utc_ns() + step_ms * MS)
    assert venue.seen.has_moved
    assert venue.clock.utc_ns() + venue.seen.offset_ns == venue.now_ns()
    assert venue.seen.offset_ns == (5 - step_ms) * MS
    venue.ask()
    assert not venue.seen.has_moved


def test_utc_that_only_slews_has_not_moved():
    venue = Venue()
    venue.ask()
    for _ in range(10):
        venue.clock.advance(1.0)
        venue.clock.set_utc_ns(venue.clock.utc_ns() + MS)
    assert not venue.seen.has_moved


def test_time_zones_do_not_matter(monkeypatch):
    venue = Venue(5.0)
    monkeypatch.setenv("TZ", "America/New_York")
    venue.ask()
    assert venue.seen.offset_ns == 5 * MS


def test_venue_that_sets_its_clock_is_followed_by_two_samples():
    venue = Venue(0.0)
    for _ in range(5):
        venue.ask()
    venue.utc_at_zero += 3 * SECOND
    venue.ask(there_ms=20.0, back_ms=20.0)
    assert venue.seen.offset_ns == 0
    assert venue.seen.is_in_doubt
    venue.ask(there_ms=20.0, back_ms=20.0)
    assert abs(venue.seen.offset_ns - 3 * SECOND) <= 20 * MS
    assert (venue.seen.steps, venue.seen.samples, venue.seen.is_in_doubt) == (1, 2, False)


def test_server_of_the_venue_with_a_wrong_clock_moves_nothing():
    venue = Venue(0.0)
    for _ in range(31):
        venue.ask()
    for wrong_ms in (-900, 700, -900):  # never twice the same
        venue.utc_at_zero += wrong_ms * MS
        venue.ask()
        venue.utc_at_zero -= wrong_ms * MS
        assert venue.seen.offset_ns == 0
    venue.ask()
    assert (venue.seen.steps, venue.seen.samples, venue.seen.is_in_doubt) == (0, 32, False)


def test_refused_stamp_leaves_the_clock_in_doubt_until_the_next_sample():
    venue = Venue(0.0)
    venue.seen.doubt()
    assert venue.seen.is_in_doubt
    venue.ask()
    assert not venue.seen.is_in_doubt


def test_window_is_bounded():
    venue = Venue()
    for _ in range(100):
        venue.ask()
    assert venue.seen.samples == 32


def test_answer_before_its_request_is_corrupt():
    with pytest.raises(CorruptDataError):
        VenueClock(ManualClock()).note(sent_ns=2, back_ns=1, server_ns=0)


def test_time_in_the_queue_does_not_widen_the_bound():
    venue = Venue(50.0)
    venue.clock.advance(1.0)  # it waited for a connection
    venue.clock.advance(0.001)
    raw = msgspec.Raw(b'{"timeNano":"%d"}' % venue.now_ns())
    venue.clock.advance(0.001)
    venue.seen.read(raw, called_ns=0, response_ms=2.0)
    assert venue.seen.bound_ns == pytest.approx(MS, rel=1e-3)
    assert venue.seen.offset_ns == 50 * MS


def test_contradiction_allows_for_both_bounds_and_drift():
    old = ClockSample(taken_ns=0, ahead_ns=0, bound_ns=MS)
    near = ClockSample(taken_ns=0, ahead_ns=2 * MS, bound_ns=MS)
    far = ClockSample(taken_ns=0, ahead_ns=2 * MS + 1, bound_ns=MS)
    assert not near.contradicts(old, now_ns=0)
    assert far.contradicts(old, now_ns=0)
    assert not far.contradicts(old, now_ns=SECOND)
