import math
from dataclasses import replace

import numpy as np
import pytest

from optimizers.costs.almgren_chriss import (
    ExecutionParameters,
    ImpactFitError,
    cost_variance,
    expected_cost,
    frontier,
    holding_squares,
    holdings,
    optimal_cost,
    optimal_variance,
    rounded,
    schedule,
    trade_squares,
)
from trading_system.domain.errors import ValidationError

PAPER = ExecutionParameters(
    sigma=0.95, gamma=2.5e-7, eta=2.5e-6, epsilon=0.0625, horizon=5.0, steps=5, risk_aversion=1e-6
)
X = 1e6


def minimum(parameters: ExecutionParameters) -> np.ndarray:
    """Minimise E + lambda V over all schedules by its own stationarity conditions."""
    n = parameters.steps
    after = np.tril(np.ones((n, n)), -1).T  # holdings after step j = what later steps trade
    quadratic = 2.0 * parameters.eta_tilde / parameters.tau * np.eye(n)
    quadratic += (
        2.0 * parameters.risk_aversion * parameters.sigma**2 * parameters.tau * (after.T @ after)
    )
    system = np.block([[quadratic, np.ones((n, 1))], [np.ones((1, n)), np.zeros((1, 1))]])
    return np.linalg.solve(system, np.append(np.zeros(n), X))[:n]


def test_the_published_schedule_is_reproduced() -> None:
    assert PAPER.eta_tilde == pytest.approx(2.375e-6, rel=1e-12)
    assert PAPER.kappa == pytest.approx(0.607076, abs=5e-7)
    assert PAPER.half_life == pytest.approx(1.6472, abs=5e-5)
    expected = [458044.446, 252101.335, 141956.732, 85755.686, 62141.802]
    assert schedule(PAPER, quantity=X) == pytest.approx(expected, abs=5e-4)


def test_the_published_cost_and_variance_are_reproduced() -> None:
    trades = schedule(PAPER, quantity=X)
    assert expected_cost(PAPER, trades) == pytest.approx(911_226.986, abs=5e-4)
    assert cost_variance(PAPER, trades) == pytest.approx(3.64128572e11, rel=2e-9)
    assert math.sqrt(cost_variance(PAPER, trades)) == pytest.approx(603_430.67, abs=5e-3)


@pytest.mark.parametrize(
    ("aversion", "kappa", "cost", "deviation"),
    [
        (1e-7, 0.194629, 670_057.5, None),
        (2e-6, 0.846297, 1_140_715.2, 449_367.7),
        (0.0, 0.0, 662_500.0, math.sqrt(1.083e12)),
    ],
)
def test_other_aversions_give_the_published_figures(aversion, kappa, cost, deviation) -> None:
    chosen = replace(PAPER, risk_aversion=aversion)
    trades = schedule(chosen, quantity=X)
    assert chosen.kappa == pytest.approx(kappa, abs=5e-7)
    assert expected_cost(chosen, trades) == pytest.approx(cost, abs=0.05)
    if deviation is not None:
        assert math.sqrt(cost_variance(chosen, trades)) == pytest.approx(deviation, abs=0.05)


def test_trading_all_at_once_costs_what_the_paper_says_and_risks_nothing() -> None:
    trades = [X, 0.0, 0.0, 0.0, 0.0]
    assert expected_cost(PAPER, trades) == pytest.approx(2_562_500.0, rel=1e-12)
    assert cost_variance(PAPER, trades) == 0.0


@pytest.mark.parametrize("aversion", [0.0, 1e-16, 1e-11, 1e-9, 1e-7, 1e-6, 2e-6, 1e-3, 10.0])
@pytest.mark.parametrize("steps", [1, 2, 5, 100])
def test_closed_forms_equal_the_sums(aversion, steps) -> None:
    chosen = replace(PAPER, risk_aversion=aversion, steps=steps)
    trades = schedule(chosen, quantity=X)
    assert trades.sum() == pytest.approx(X, rel=1e-12)
    assert optimal_cost(chosen, quantity=X) == pytest.approx(
        expected_cost(chosen, trades), rel=1e-9
    )
    assert optimal_variance(chosen, quantity=X) == pytest.approx(
        cost_variance(chosen, trades), rel=1e-8, abs=1e-3
    )


def test_many_steps_approach_the_continuous_limit() -> None:
    fine = ExecutionParameters(
        sigma=0.95, gamma=0.0, eta=2.5e-6 - 2.5e-7 / 2.0, epsilon=0.0, horizon=5.0, steps=10_000,
        risk_aversion=1e-6,
    )  # fmt: skip
    kappa = math.sqrt(1e-6 * 0.95**2 / fine.eta)
    assert fine.kappa == pytest.approx(kappa, rel=1e-6)
    c = kappa * 5.0
    cost = fine.eta * kappa * X**2 * (2 * c + math.sinh(2 * c)) / (4 * math.sinh(c) ** 2)
    assert optimal_cost(fine, quantity=X) == pytest.approx(cost, rel=1e-3)
    half = holdings(fine, quantity=X)[5_000]
    assert half == pytest.approx(X / (2 * math.cosh(c / 2)), rel=1e-6)


def test_the_published_continuous_figures_are_reproduced_in_the_limit() -> None:
    fine = replace(PAPER, gamma=0.0, epsilon=0.0, steps=10_000)
    assert fine.kappa == pytest.approx(0.600833, abs=5e-7)
    trades = schedule(fine, quantity=X)
    assert expected_cost(fine, trades) == pytest.approx(777_037.148, rel=1e-6)
    assert cost_variance(fine, trades) == pytest.approx(7.32447762e11, rel=1e-3)


@pytest.mark.parametrize("aversion", [1e-7, 1e-6, 2e-6])
def test_holdings_solve_the_difference_equation(aversion) -> None:
    chosen = replace(PAPER, risk_aversion=aversion)
    left = holdings(chosen, quantity=X)
    squared = aversion * chosen.sigma**2 / chosen.eta_tilde * chosen.tau**2
    n = chosen.steps - 1
    system = np.diag(np.full(n, 2 + squared)) - np.eye(n, k=1) - np.eye(n, k=-1)
    inside = np.linalg.solve(system, np.append(X, np.zeros(n - 1)))
    assert left[1:-1] == pytest.approx(inside, rel=1e-10)
    assert (left[0], left[-1]) == (pytest.approx(X, rel=1e-12), 0.0)


@pytest.mark.parametrize("aversion", [0.0, 1e-7, 1e-6, 1e-4])
def test_the_schedule_is_the_minimum_of_cost_and_risk(aversion) -> None:
    chosen = replace(PAPER, risk_aversion=aversion)
    assert schedule(chosen, quantity=X) == pytest.approx(minimum(chosen), abs=3e-8 * X)


def test_on_the_frontier_cost_rises_by_the_aversion_per_variance_avoided() -> None:
    rows = frontier(PAPER, quantity=X, aversions=[0.0, 0.999e-6, 1.001e-6, 1e-4])
    (_, cheap, risky), (_, e1, v1), (_, e2, v2), (_, dear, safe) = rows
    assert (e2 - e1) / (v1 - v2) == pytest.approx(1e-6, rel=1e-5)
    assert cheap < e1 < dear
    assert risky > v1 > safe


def test_without_urgency_every_step_is_equal() -> None:
    even = replace(PAPER, risk_aversion=0.0)
    assert even.is_even
    assert even.half_life == math.inf
    assert schedule(even, quantity=X).tolist() == [X / 5] * 5
    assert holdings(even, quantity=X) == pytest.approx([X, 0.8 * X, 0.6 * X, 0.4 * X, 0.2 * X, 0])


def test_the_even_schedule_has_the_closed_variance() -> None:
    even = replace(PAPER, risk_aversion=0.0)
    closed = 0.95**2 * X**2 * 5.0 / 3.0 * (1 - 1 / 5) * (1 - 1 / 10)
    assert optimal_variance(even, quantity=X) == pytest.approx(closed, rel=1e-12)


def test_boundless_urgency_trades_at_once_and_does_not_overflow() -> None:
    urgent = replace(PAPER, risk_aversion=1e20)
    assert urgent.kappa * urgent.horizon > 30
    assert schedule(urgent, quantity=X) == pytest.approx([X, 0, 0, 0, 0], abs=1e-6)
    assert holdings(urgent, quantity=X)[1] == pytest.approx(0.0, abs=1e-6)
    assert optimal_cost(urgent, quantity=X) == pytest.approx(2_562_500.0, rel=1e-9)


@pytest.mark.parametrize(
    "change",
    [
        {"eta": 1e-7, "gamma": 1e-6}, {"sigma": 0.0}, {"sigma": math.nan}, {"eta": -1.0},
        {"eta": math.inf}, {"gamma": -1e-9}, {"epsilon": math.nan}, {"horizon": 0.0},
        {"steps": 0}, {"steps": 10_001}, {"steps": True}, {"risk_aversion": -1.0},
        {"risk_aversion": 1e308, "sigma": 1e150},
    ],
)  # fmt: skip
def test_parameters_that_make_no_sense_are_refused(change) -> None:
    with pytest.raises(ImpactFitError):
        replace(PAPER, **change)


def test_rounding_keeps_the_sum_and_gives_remainders_to_the_largest_fractions() -> None:
    assert rounded([1.26, 1.25, 0.49], lot=0.1) == [13, 12, 5]
    assert rounded([0.4, 0.4, 0.2], lot=1.0) == [1, 0, 0]
    assert sum(rounded(schedule(PAPER, quantity=X), lot=1.0)) == 1_000_000


def test_a_child_below_the_minimum_is_merged() -> None:
    assert rounded([3.0, 1.0, 1.0, 3.0, 1.0], lot=1.0, minimum=2.0) == [3, 0, 2, 4, 0]
    assert rounded([3.0, 1.0], lot=1.0, min_notional=20.0, price=10.0) == [4, 0]


@pytest.mark.parametrize(
    ("trades", "options"),
    [
        ([0.05], {"lot": 0.1}),
        ([1.0], {"lot": 1.0, "minimum": 2.0}),
        ([1.5], {"lot": 1.0}),
        ([1.0], {"lot": 0.0}),
        ([math.nan], {"lot": 1.0}),
        ([1.0], {"lot": 1.0, "price": 0.0}),
    ],
)
def test_an_order_that_is_no_whole_lots_is_refused(trades, options) -> None:
    with pytest.raises(ValidationError):
        rounded(trades, **options)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("function", [schedule, holdings, optimal_cost, optimal_variance])
def test_a_quantity_that_is_none_is_refused(function, bad) -> None:
    with pytest.raises(ValidationError, match="quantity"):
        function(PAPER, quantity=bad)


def test_a_schedule_that_holds_no_number_is_refused() -> None:
    for function in (expected_cost, cost_variance):
        with pytest.raises(ValidationError, match="numbers"):
            function(PAPER, [1.0, math.nan])


def test_squares_of_trades_and_holdings_are_those_of_the_schedule() -> None:
    rate = PAPER.kappa * PAPER.tau
    trades, left = schedule(PAPER, quantity=1.0), holdings(PAPER, quantity=1.0)[1:]
    assert trade_squares(rate, 5) == pytest.approx(float(trades @ trades), rel=1e-12)
    assert holding_squares(rate, 5) == pytest.approx(float(left @ left), rel=1e-12)
    assert trade_squares(0.0, 5) == pytest.approx(0.2)
    assert holding_squares(0.0, 5) == pytest.approx(0.64 + 0.36 + 0.16 + 0.04)
    assert (trade_squares(1e5, 5), holding_squares(1e5, 5)) == (1.0, 0.0)
