import math
import random

import pytest

from trading_system.domain.errors import ConfigurationError
from trading_system.simulation.latency import PROFILES, Latency, latency_of

DRAWS = 40_000


def drawn(name):
    latency = latency_of(name, seed=7)
    return sorted(latency.round_trip_s() for _ in range(DRAWS))


@pytest.mark.parametrize(
    ("name", "median_s", "p99_s"),
    [("colocated", 0.001, 0.004), ("regional", 0.035, 0.120), ("retail", 0.150, 0.400)],
)
def test_round_trips_have_the_documented_median_and_p99(name, median_s, p99_s):
    times = [time for time in drawn(name) if time < 1.0]
    assert times[len(times) // 2] == pytest.approx(median_s, rel=0.03)
    assert times[int(len(times) * 0.99)] == pytest.approx(p99_s, rel=0.08)


@pytest.mark.parametrize(("name", "share"), [("colocated", 0.0), ("regional", 1e-3)])
def test_stalls_take_one_second_in_their_share_of_requests(name, share):
    stalled = sum(time >= 1.0 for time in drawn(name))
    assert abs(stalled - share * DRAWS) <= 3 * math.sqrt(share * DRAWS)


def test_same_seed_gives_the_same_delays():
    first, second = (latency_of("retail", seed=3) for _ in range(2))
    assert [first.one_way_s() for _ in range(9)] == [second.one_way_s() for _ in range(9)]


def test_none_never_delays():
    latency = latency_of("none", seed=1)
    assert (latency.is_none, latency.one_way_s()) == (True, 0.0)
    assert not Latency(PROFILES["retail"], random.Random(1)).is_none


def test_unknown_profile_is_refused_by_name():
    with pytest.raises(ConfigurationError, match="colocated"):
        latency_of("moon", seed=1)
