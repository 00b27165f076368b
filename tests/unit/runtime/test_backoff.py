from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_system.domain.errors import ValidationError
from trading_system.runtime.backoff import Backoff


class Highest(random.Random):
    """Always draws the upper bound, so that the bounds show."""

    def uniform(self, a: float, b: float) -> float:
        return b


def test_bounds_grow_exponentially_up_to_the_longest_delay():
    policy = Backoff(first_s=0.1, max_s=1.0, factor=2.0, attempts=6)
    assert list(policy.delays(Highest())) == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0, 1.0])


@given(st.integers(0, 20), st.integers())
def test_delays_are_bounded_in_number_and_size(attempts, seed):
    policy = Backoff(first_s=0.5, max_s=4.0, attempts=attempts)
    delays = list(policy.delays(random.Random(seed)))
    assert len(delays) == attempts
    assert all(0 <= delay <= min(4.0, 0.5 * 2**n) for n, delay in enumerate(delays))


def test_same_seed_gives_the_same_delays():
    policy = Backoff()
    assert list(policy.delays(random.Random(3))) == list(policy.delays(random.Random(3)))


def test_jitter_covers_the_whole_range():
    policy = Backoff(first_s=1.0, max_s=1.0, attempts=2000)
    delays = sorted(policy.delays(random.Random(1)))
    assert delays[0] < 0.01
    assert delays[-1] > 0.99
    assert sum(delays) / 2000 == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(
    "options",
    [
        {"first_s": 0},
        {"first_s": 2, "max_s": 1},
        {"factor": 0.5},
        {"attempts": -1},
        {"max_s": math.inf},
        {"factor": math.nan},
    ],
)
def test_senseless_policies_are_refused(options):
    with pytest.raises(ValidationError):
        Backoff(**options)
