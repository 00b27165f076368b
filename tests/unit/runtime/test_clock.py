from __future__ import annotations

import pytest

from trading_system.runtime.clock import ManualClock, SystemClock


def test_manual_clock_moves_only_by_hand():
    clock = ManualClock(utc_ns=5_000)
    assert (clock.monotonic_ns(), clock.utc_ns()) == (0, 5_000)
    clock.advance(1.5)
    assert (clock.monotonic_ns(), clock.utc_ns()) == (1_500_000_000, 1_500_005_000)


def test_manual_clock_refuses_to_go_back():
    with pytest.raises(ValueError, match="only moves forward"):
        ManualClock().advance(-0.1)


def test_jump_of_the_utc_clock_leaves_monotonic_time_alone():
    clock = ManualClock()
    clock.advance(2)
    clock.set_utc_ns(7)
    assert (clock.monotonic_ns(), clock.utc_ns()) == (2_000_000_000, 7)
    clock.advance(1)
    assert clock.utc_ns() == 1_000_000_007


def test_system_clock_never_goes_backwards():
    clock = SystemClock()
    readings = [clock.monotonic_ns() for _ in range(100)]
    assert readings == sorted(readings)
    assert clock.utc_ns() > 1_700_000_000 * 10**9
