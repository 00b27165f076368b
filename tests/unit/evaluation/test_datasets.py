import math

import numpy as np
import pytest

from trading_system.domain.signals import FEATURE_NAMES, UNSIGNED_FEATURES, MarketFeatures
from trading_system.evaluation.datasets import HORIZONS_S, SAMPLE_S, joined, sampled

MS = 1_000_000


def session(seconds: float, *, symbol: str = "BTCUSDT") -> list[MarketFeatures]:
    """Return a mid that climbs one basis point per second, seen every 20 ms."""
    return [
        MarketFeatures(
            symbol=symbol,
            mid=50_000.0 * math.exp(step * 0.02e-4),
            spread_bps=0.02,
            imbalance=step / 10_000,
            micro_deviation_bps=0.0,
            order_flow=0.0,
            trade_flow=0.0,
            ts_ns=step * 20 * MS,
        )
        for step in range(round(seconds * 50))
    ]


def test_labels_are_the_moves_after_the_sample() -> None:
    (data,) = sampled(session(60), group=7)
    assert data.moves.shape == (len(data), len(HORIZONS_S))
    for column, horizon in enumerate(HORIZONS_S):
        assert data.moves[:, column] == pytest.approx(horizon, rel=0.03)
    assert set(data.group) == {7}
    assert np.diff(data.second) == pytest.approx(SAMPLE_S)


def test_every_label_lies_inside_the_session() -> None:
    (data,) = sampled(session(60), group=0)
    assert data.second[0] == 1.0
    assert 60 - 10 - 2 * SAMPLE_S <= data.second[-1] + SAMPLE_S <= 60 - 10 + SAMPLE_S


def test_a_sample_knows_nothing_of_later_times() -> None:
    whole = session(60)
    (long,) = sampled(whole, group=0)
    (short,) = sampled(whole[:2_000], group=0)
    count = len(short)
    assert (long.inputs[:count] == short.inputs).all()
    column = FEATURE_NAMES.index("imbalance")
    # At 0.25 s the newest message is that of 0.24 s, never that of 0.26 s.
    assert long.inputs[0, column] * 10_000 * 0.02 < long.second[0] + SAMPLE_S + 1e-9


def test_symbols_are_told_apart() -> None:
    mixed = [
        each for pair in zip(session(30), session(30, symbol="A"), strict=True) for each in pair
    ]
    first, second = sampled(mixed, group=0)
    assert (first.inputs == second.inputs).all()


def test_a_session_shorter_than_its_labels_gives_nothing() -> None:
    assert sampled(session(10), group=0) == []
    assert len(joined([])) == 0


def test_the_mirror_turns_signed_inputs_and_moves() -> None:
    (data,) = sampled(session(40), group=0)
    mirrored = data.mirrored()
    count = len(data)
    assert len(mirrored) == 2 * count
    assert (mirrored.moves[count:] == -data.moves).all()
    for column, name in enumerate(FEATURE_NAMES):
        sign = 1.0 if name in UNSIGNED_FEATURES else -1.0
        assert (mirrored.inputs[count:, column] == sign * data.inputs[:, column]).all()


def test_the_digest_tells_data_apart() -> None:
    (data,) = sampled(session(40), group=0)
    (same,) = sampled(session(40), group=0)
    (other,) = sampled(session(40), group=1)
    assert data.digest() == same.digest() != other.digest()
