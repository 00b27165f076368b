from __future__ import annotations

import math
import random

import pytest
from stub_agents import SECOND

from optimizers.signals.weights import Scoreboard, WeightRules, exponential, fixed_share, floored

EVEN = (1 / 3,) * 3


def run(board: Scoreboard, forecasts, outcomes, *, horizon_s: float = 1.0) -> None:
    """Let agents forecast every second; the mid moves by the outcomes."""
    mid = 100.0
    for step, up in enumerate(outcomes):
        ts_ns = step * SECOND
        board.mature(ts_ns, mid)
        said = [(i, p, horizon_s) for i, p in enumerate(forecasts(step, up)) if p is not None]
        pooled = sum(p for _, p, _ in said) / len(said)
        board.sample(ts_ns, mid, pooled=pooled, forecasts=said)
        mid += 1.0 if up else -1.0
    board.mature(len(outcomes) * SECOND, mid)


def coins(count: int, seed: int = 1) -> list[bool]:
    source = random.Random(seed)
    return [source.random() < 0.5 for _ in range(count)]


def test_the_update_matches_its_worked_examples() -> None:
    weights = exponential(EVEN, (10, 11, 12), rate=0.5)
    assert weights == pytest.approx((0.506480, 0.307196, 0.186324), abs=1e-6)
    shared = fixed_share(weights, share=0.05)
    assert shared == pytest.approx((0.497823, 0.308503, 0.193674), abs=1e-6)


def test_a_floor_is_paid_by_those_above_it() -> None:
    assert floored((0.98, 0.01, 0.01), floor=0.02) == pytest.approx((0.96, 0.02, 0.02))
    assert floored((0.5, 0.5), floor=0.9) == (0.5, 0.5)
    assert floored((1.0,), floor=0.02) == (1.0,)


@pytest.mark.parametrize("seed", range(10))
def test_the_regret_on_the_brier_loss_stays_below_its_bound(seed: int) -> None:
    source = random.Random(seed)
    weights, pool_loss, losses = (0.2,) * 5, 0.0, [0.0] * 5
    for _ in range(2000):
        outcome = float(source.random() < 0.5)
        said = [source.random() for _ in range(4)]
        said.append(min(1.0, max(0.0, 0.5 + (outcome - 0.5) * source.random())))
        pooled = sum(w * p for w, p in zip(weights, said, strict=True))
        pool_loss += (pooled - outcome) ** 2
        step = [(p - outcome) ** 2 for p in said]
        losses = [total + loss for total, loss in zip(losses, step, strict=True)]
        weights = exponential(weights, step, rate=0.5)
    assert pool_loss - min(losses) <= math.log(5) / 0.5


def test_everybody_starts_equal_and_without_a_score() -> None:
    board = Scoreboard(4)
    assert board.weights == pytest.approx((0.25,) * 4)
    assert (board.score(0).matured, board.score(0).brier) == (0, None)


@pytest.mark.parametrize("seed", range(5))
def test_a_biased_agent_loses_weight_and_a_good_one_gains(seed: int) -> None:
    board = Scoreboard(3)
    run(board, lambda _step, up: (0.8 if up else 0.2, 0.5, 0.9), coins(300, seed))
    good, plain, biased = board.weights
    assert good > plain > biased
    assert biased < 0.08
    assert board.score(0).brier == pytest.approx(0.04)
    assert board.score(0).accuracy == 1.0
    assert board.score(1).accuracy == 0.5


def test_the_best_agent_is_found_again_after_it_changes() -> None:
    board = Scoreboard(2)

    def swap(step, up):
        right, wrong = (0.9, 0.1) if up else (0.1, 0.9)
        return (right, wrong) if step < 200 else (wrong, right)

    run(board, swap, coins(260))
    assert board.weights[1] > 0.9


def test_an_abstainer_keeps_its_weight_among_the_others() -> None:
    board = Scoreboard(3, rules=WeightRules(share=0.0, shrink=0.0, floor=0.0))
    run(board, lambda _step, up: (0.7 if up else 0.3, 0.7 if up else 0.3, None), coins(200))
    assert board.weights == pytest.approx(EVEN)
    assert board.score(2).matured == 0


def test_overlapping_samples_count_as_their_share_of_the_horizon() -> None:
    rules = WeightRules(share=0.0, shrink=0.0, floor=0.0)
    long, short = Scoreboard(2, rules=rules), Scoreboard(2, rules=rules)
    always = [True] * 40
    run(short, lambda *_: (0.9, 0.1), always[:10], horizon_s=1.0)
    run(long, lambda *_: (0.9, 0.1), always, horizon_s=10.0)
    assert long.score(0).matured == 31
    assert math.log(long.weights[0] / long.weights[1]) == pytest.approx(
        math.log(short.weights[0] / short.weights[1]) * 31 / 100
    )


def test_nothing_is_learned_before_the_horizon_or_long_after_it() -> None:
    board = Scoreboard(2)
    board.sample(0, 100.0, pooled=0.5, forecasts=[(0, 0.9, 10.0), (1, 0.1, 10.0)])
    board.mature(10 * SECOND - 1, 200.0)
    assert board.score(0).matured == 0
    board.mature(21 * SECOND, 200.0)
    assert (board.score(0).matured, board.pending) == (0, 0)


def test_a_gap_drops_what_waits_and_keeps_what_was_learned() -> None:
    board = Scoreboard(2)
    run(board, lambda *_: (0.9, 0.1), [True] * 50)
    before = board.weights
    board.sample(60 * SECOND, 100.0, pooled=0.5, forecasts=[(0, 0.9, 1.0)])
    board.reset()
    board.mature(61 * SECOND, 500.0)
    assert board.weights == before
    assert board.pending == 0


def test_an_unchanged_mid_is_half_an_outcome() -> None:
    board = Scoreboard(1)
    board.sample(0, 100.0, pooled=0.5, forecasts=[(0, 0.6, 1.0)])
    board.mature(SECOND, 100.0)
    assert board.score(0).brier == pytest.approx(0.01)
    assert board.score(0).accuracy == 0.5


def test_a_penalty_takes_weight_and_it_can_be_earned_back() -> None:
    board = Scoreboard(3)
    board.penalise(0)
    assert board.weights[0] < 0.1
    run(board, lambda _step, up: (0.8 if up else 0.2, 0.5, 0.5), coins(200))
    assert board.weights[0] > 0.5


def test_memory_is_bounded_whatever_the_horizons() -> None:
    board = Scoreboard(1)
    for step in range(6000):
        board.sample(step, 100.0, pooled=0.5, forecasts=[(0, 0.6, 1e6 + step % 20)])
    assert board.pending <= 8 * 4096
    assert len(board._pending) <= 8


def test_an_idle_horizon_makes_room_for_a_new_one() -> None:
    board = Scoreboard(1)
    for step in range(20):
        board.sample(step * SECOND, 100.0, pooled=0.5, forecasts=[(0, 0.6, 0.3 + step / 100)])
        board.mature(step * SECOND + SECOND // 2, 101.0)
    assert board.score(0).matured == 20
