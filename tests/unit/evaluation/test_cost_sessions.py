from functools import partial

import numpy as np
import pytest

from optimizers.costs import maker_taker, slippage
from trading_system.evaluation.cost_sessions import CostSamples, joined, sampled_costs
from trading_system.evaluation.sessions import SyntheticPlan
from trading_system.market.volatility import RealisedVolatility

METER = partial(RealisedVolatility, 300.0)
WALK = slippage.FEATURES.index("walk_bps")


def session(
    *,
    seed: int = 1,
    seconds: float = 25.0,
    horizon_s: float = 5.0,
    activity: float = 1.0,
    meter=METER,
) -> CostSamples:
    plan = SyntheticPlan(symbols=("BTCUSDT",), activity=activity)
    return sampled_costs(
        plan.venue(seed), seed=seed, seconds=seconds, horizon_s=horizon_s, meter=meter
    )


class Blind:
    """Never knows a volatility."""

    def observe(self, mid: float, now_ns: int) -> None: ...

    def per_second(self, now_ns: int) -> float | None: ...


def test_the_same_seed_gives_the_same_samples_and_another_one_others() -> None:
    assert session().digest() == session().digest() != session(seed=2).digest()


def test_samples_have_the_features_of_the_models() -> None:
    samples = session()
    assert len(samples.fill_s) > 5
    assert samples.maker_x.shape == (len(samples.fill_s), len(maker_taker.FEATURES))
    assert samples.taker_x.shape == (len(samples.paid_bps), len(slippage.FEATURES))
    assert np.isfinite(samples.maker_x).all()
    assert np.isfinite(samples.taker_x).all()
    assert np.isfinite(samples.paid_bps).all()


def test_patience_changes_no_fill_that_came_before_its_end() -> None:
    short, long = session(horizon_s=2.0), session(horizon_s=10.0)
    count = len(long.fill_s)
    assert 0 < count < len(short.fill_s)
    within = np.where(long.fill_s < 2.0, long.fill_s, np.inf)
    np.testing.assert_array_equal(within, short.fill_s[:count])
    np.testing.assert_array_equal(long.maker_x, short.maker_x[:count])
    assert long.is_maker.sum() >= short.is_maker[:count].sum() > 0


def test_limit_orders_whose_horizon_ends_after_the_session_are_left_out() -> None:
    samples = session(horizon_s=60.0)
    assert samples.fill_s.shape == (0,)
    assert samples.maker_x.shape == (0, len(maker_taker.FEATURES))
    assert len(samples.paid_bps) > 5


def test_a_book_that_hardly_changes_charges_what_it_showed() -> None:
    still = session(activity=0.001, seconds=200.0)
    assert len(still.paid_bps) > 0
    change = np.abs(still.paid_bps - still.taker_x[:, WALK])
    assert np.median(change) == pytest.approx(0.0, abs=1e-9)


def test_without_a_volatility_there_is_no_sample() -> None:
    samples = session(meter=Blind)
    assert len(samples.fill_s) == len(samples.paid_bps) == samples.dropped == 0


def test_sessions_are_joined_one_after_another() -> None:
    first, second = session(), session(seed=2)
    both = joined([first, second])
    assert len(both.fill_s) == len(first.fill_s) + len(second.fill_s)
    np.testing.assert_array_equal(both.paid_bps[: len(first.paid_bps)], first.paid_bps)
    assert both.dropped == first.dropped + second.dropped
