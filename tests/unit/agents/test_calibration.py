import math
import random

import pytest

from agents.artifacts import Scaling
from agents.calibration import CalibrationParameters, Evidence, OnlineCalibration, Slope

SECOND = 1_000_000_000
STEP_NS = SECOND // 20


def watched(
    truth: float, *, seed: int, seconds: float, score_bps: float = 20.0, start_s: float = 0.0
) -> OnlineCalibration:
    """Return a calibration that saw a market which delivers ``truth`` of the score."""
    calibration = OnlineCalibration(CalibrationParameters())
    feed(calibration, truth, seed=seed, seconds=seconds, score_bps=score_bps, start_s=start_s)
    return calibration


def feed(
    calibration: OnlineCalibration,
    truth: float,
    *,
    seed: int,
    seconds: float,
    score_bps: float = 20.0,
    start_s: float = 0.0,
) -> None:
    rng = random.Random(seed)
    mid, score = 50_000.0, score_bps
    for step in range(round(seconds * 20)):
        calibration.observe(
            score,
            mid=mid,
            volatility_bps=1.4,
            ts_ns=round(start_s * SECOND) + step * STEP_NS,
        )
        drift = truth * 0.14 * score / 20
        mid *= 1 + (drift + 1.4 * rng.gauss(0, 1) / math.sqrt(20)) / 10_000
        score = 0.997 * score + 1.5 * rng.gauss(0, 1)


def test_before_any_outcome_it_is_not_ready_and_believes_its_prior() -> None:
    calibration = OnlineCalibration(CalibrationParameters(prior_slope=0.8, doubt=0.5))
    assert not calibration.is_ready
    assert calibration.slope.mean == pytest.approx(0.4)
    assert math.sqrt(calibration.slope.variance) > 0.4


def test_without_evidence_no_likely_score_pays_a_round_trip() -> None:
    expected = OnlineCalibration(CalibrationParameters()).expect(40.0, volatility_bps=1.4)
    assert expected.move_bps - 0.5 * expected.uncertainty_bps < 11.0


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("truth", [1.0, 0.5, -1.0])
def test_the_slope_goes_to_what_the_market_delivers(truth: float, seed: int) -> None:
    slope = watched(truth, seed=seed, seconds=240).slope
    assert slope.mean == pytest.approx(truth, abs=0.35)
    assert abs(slope.mean - truth) < 4 * math.sqrt(slope.variance)


@pytest.mark.parametrize("seed", range(8))
def test_a_market_that_delivers_nothing_is_found_out(seed: int) -> None:
    slope = watched(0.0, seed=seed, seconds=120).slope
    assert abs(slope.mean) + math.sqrt(slope.variance) < 0.45


@pytest.mark.parametrize("seed", range(4))
def test_a_market_that_turns_turns_the_opinion(seed: int) -> None:
    calibration = watched(1.0, seed=seed, seconds=60)
    assert calibration.expect(20.0, volatility_bps=1.4).move_bps > 8
    feed(calibration, -1.0, seed=seed + 50, seconds=400, start_s=100)
    turned = calibration.expect(20.0, volatility_bps=1.4)
    assert turned.move_bps < -4
    assert turned.p_up < 0.5


def test_evidence_counts_the_time_watched_not_the_messages() -> None:
    def seen(sample_s: float) -> float:
        calibration = OnlineCalibration(CalibrationParameters(sample_s=sample_s))
        feed(calibration, 1.0, seed=1, seconds=20)
        return math.sqrt(calibration.slope.variance)

    assert seen(0.05) == pytest.approx(seen(0.25), rel=0.35)


def test_an_outcome_after_a_silence_teaches_nothing() -> None:
    calibration = OnlineCalibration(CalibrationParameters())
    for step in range(21):
        calibration.observe(20.0, mid=50_000.0, volatility_bps=1.4, ts_ns=step * STEP_NS)
    calibration.observe(20.0, mid=60_000.0, volatility_bps=1.4, ts_ns=30 * SECOND)
    assert calibration.matured == 0


def test_a_reset_drops_waiting_samples_and_keeps_the_slope() -> None:
    calibration = watched(1.0, seed=1, seconds=30)
    before, matured = calibration.slope, calibration.matured
    calibration.reset()
    calibration.observe(20.0, mid=90_000.0, volatility_bps=1.4, ts_ns=31 * SECOND)
    assert (calibration.slope, calibration.matured) == (before, matured)


def test_scores_of_zero_are_no_evidence() -> None:
    calibration = OnlineCalibration(CalibrationParameters())
    for step in range(200):
        calibration.observe(0.0, mid=50_000.0, volatility_bps=1.4, ts_ns=step * STEP_NS)
    assert calibration.matured == 0
    assert calibration.expect(0.0, volatility_bps=0.0).p_up == 0.5


def test_probabilities_agree_with_the_expectation_and_know_its_noise() -> None:
    calibration = watched(1.0, seed=2, seconds=60)
    up = calibration.expect(20.0, volatility_bps=1.4)
    down = calibration.expect(-20.0, volatility_bps=1.4)
    wild = calibration.expect(20.0, volatility_bps=14.0)
    assert up.move_bps == -down.move_bps
    assert up.p_up == pytest.approx(1 - down.p_up)
    assert 0.5 < wild.p_up < up.p_up < 1.0


def test_the_posterior_is_that_of_the_textbook() -> None:
    evidence = Evidence(1.0, share=1.0, prior_noise=1.0, patience=1e12, fade=1.0)
    for score, move in ((1.0, 2.0), (2.0, 3.0), (-1.0, 0.5)):
        evidence.add(score, move, variance=4.0, share=1e-6, slope=move / score)
    # One millionth of each: precision 1/0.25 + 1e-6 * (1 + 4 + 1) / 4.
    posterior = evidence.posterior(Slope(1.0, 0.25))
    assert posterior.variance == pytest.approx(1 / (4 + 1.5e-6))
    assert posterior.mean == pytest.approx((4 + 1e-6 * (2 + 6 - 0.5) / 4) / (4 + 1.5e-6))


def test_the_log_odds_are_the_ratio_of_marginal_likelihoods() -> None:
    # One outcome y ~ N(x b, v): under a normal slope the marginal is N(x m, x^2 s + v).
    score, move, variance = 3.0, 2.5, 4.0
    prior = Slope(0.8, 0.25)
    evidence = Evidence(1.0, share=1.0, prior_noise=1.0, patience=1e15, fade=1.0)
    evidence.add(score, move, variance=variance, share=1.0, slope=move / score)
    spread = score**2 * prior.variance + variance
    related = -0.5 * math.log(spread) - (move - score * prior.mean) ** 2 / (2 * spread)
    unrelated = -0.5 * math.log(variance) - move**2 / (2 * variance)
    odds = evidence.log_odds(prior, evidence.posterior(prior))
    assert odds == pytest.approx(related - unrelated)


def test_one_wild_move_does_not_carry_the_slope() -> None:
    def after(move_bps: float) -> float:
        evidence = Evidence(1.0, share=1.0, prior_noise=1.0, patience=4.0, fade=1.0)
        for _ in range(20):
            evidence.add(2.0, 0.0, variance=2.0, share=1.0, slope=0.0)
        evidence.add(2.0, move_bps, variance=2.0, share=1.0, slope=0.0)
        return evidence.posterior(Slope(0.0, 1.0)).mean

    assert after(500.0) < after(5.0)


def test_training_figures_become_parameters() -> None:
    scaling = Scaling(horizon_s=5.0, learning_share=0.3, noise=4.0)
    parameters = CalibrationParameters.trained(scaling)
    assert (parameters.horizon_s, parameters.learning_share) == (5.0, 0.3)
    assert parameters.prior_noise == 4.0
