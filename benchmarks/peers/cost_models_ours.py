"""What each cost model takes, and one whole estimate after a tick.

Beside the book walk and the schedule the same is done by plain numpy, written for this comparison.
"""

from __future__ import annotations

import math
import random
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import engine_kit
import numpy as np
import okx_flow
import protocol

from optimizers.costs.almgren_chriss import (
    ExecutionParameters,
    expected_cost,
    holdings,
    optimal_cost,
    schedule,
)
from optimizers.costs.fees import FeeTables
from optimizers.costs.impact import MarketImpactModel
from optimizers.costs.maker_taker import MakerTakerModel
from optimizers.costs.slippage import SlippageModel
from optimizers.microstructure.levels import BookLevels, read_levels

_BPS = 10_000.0
_CONTRACT = 0.0001
_STEPS = 100
_VOLATILITY = 0.0002
_MID = 65_000.0


def book() -> tuple[BookLevels, dict[str, list[tuple[float, float]]]]:
    """Return 400 levels a side in base currency, checked and plain."""
    plain = {
        side: [(price, size * _CONTRACT) for price, size in rows]
        for side, rows in okx_flow.Flow(400).book(400).items()
    }
    return read_levels(okx_flow.INST_ID, plain), plain


def walked_bps(rows: list[tuple[float, float]], mid: float, quantity: float) -> float:
    """Return the mean cost of buying ``quantity`` level by level."""
    left, value = quantity, 0.0
    for price, size in rows:
        part = min(left, size)
        value, left = value + part * price, left - part
    assert left <= 1e-12
    return (value / quantity - mid) / mid * _BPS


def sizes(count: int) -> list[float]:
    """Return order sizes, base currency, no two alike, from one level to most of the book."""
    rng = random.Random(5)
    return [0.01 * math.exp(rng.random() * 7.0) for _ in range(count)]


def impact(count: int) -> dict[str, Any]:
    """Time the impact of sizes that no cache holds; bps must not fall with size."""
    levels, plain = book()
    model = MarketImpactModel()
    model.update_book(levels)
    model.update_volatility(_VOLATILITY)
    model.calculate_impact(0.001, levels.mid)
    orders, found, times = sizes(count), [], []
    for quantity in orders:
        began = time.perf_counter_ns()
        found.append(model.calculate_impact(quantity, levels.mid))
        times.append((time.perf_counter_ns() - began) / 1_000)
    half = (plain["asks"][0][0] - levels.mid) / levels.mid * _BPS
    for quantity, one in zip(orders, found, strict=True):
        wanted = walked_bps(plain["asks"], levels.mid, quantity) - half
        given = one["temporary_impact"] / (quantity * levels.mid) * _BPS
        assert abs(given - wanted) < 1e-6, f"{quantity}: {given}, walked {wanted}"
        assert one["total_impact"] == one["temporary_impact"] + one["permanent_impact"]
    ordered = [one["impact_bps"] for _, one in sorted(zip(orders, found, strict=True))]
    assert all(a <= b + 1e-9 for a, b in pairwise(ordered))
    return {"us": times}


def slippage(count: int) -> dict[str, Any]:
    """Time the walk of 400 levels for sizes that no cache holds, ours and by numpy."""
    levels, plain = book()
    model = SlippageModel()
    model.update_book(levels)
    times, twin = [], []
    for quantity in sizes(count):
        began = time.perf_counter_ns()
        mine = model.predict({"side": "buy", "quantity": quantity})
        middle = time.perf_counter_ns()
        theirs = _numpy_walk(plain["asks"], levels.mid, quantity)
        ended = time.perf_counter_ns()
        times.append((middle - began) / 1_000)
        twin.append((ended - middle) / 1_000)
        wanted = walked_bps(plain["asks"], levels.mid, quantity)
        assert abs(mine["slippage_bps"] - wanted) < 1e-6
        assert abs(theirs - wanted) < 1e-6
    return {"us": times, "twin_us": twin}


def _numpy_walk(rows: list[tuple[float, float]], mid: float, quantity: float) -> float:
    table = np.array(rows)
    before = np.cumsum(table[:, 1]) - table[:, 1]
    taken = np.clip(quantity - before, 0.0, table[:, 1])
    return float((taken @ table[:, 0] / quantity - mid) / mid * _BPS)


def schedule100(count: int) -> dict[str, Any]:
    """Time checked parameters with their schedule of 100 steps and what is left after each."""
    times, twin = [], []
    for number in range(count):
        quantity = 10.0 + number % 7
        began = time.perf_counter_ns()
        parameters = _parameters(1e-6 * (1 + number % 5))
        trades = schedule(parameters, quantity=quantity)
        left = holdings(parameters, quantity=quantity)
        middle = time.perf_counter_ns()
        theirs = _numpy_schedule(quantity, 1e-6 * (1 + number % 5))
        ended = time.perf_counter_ns()
        times.append((middle - began) / 1_000)
        twin.append((ended - middle) / 1_000)
        assert len(trades) == _STEPS
        assert abs(math.fsum(trades) - quantity) < 1e-9
        assert np.abs(left[:-1] - left[1:] - trades).max() < 1e-9
        assert np.abs(theirs - left).max() < 1e-6
        best = optimal_cost(parameters, quantity=quantity)
        assert abs(expected_cost(parameters, trades) / best - 1.0) < 1e-9
    return {"us": times, "twin_us": twin}


def _parameters(aversion: float) -> ExecutionParameters:
    return ExecutionParameters(
        sigma=13.0,
        gamma=0.05,
        eta=2.5,
        epsilon=20.0,
        horizon=600.0,
        steps=_STEPS,
        risk_aversion=aversion,
    )


def _numpy_schedule(quantity: float, aversion: float) -> Any:
    # The formula as it is printed: what is left is X sinh(k (T - t)) / sinh(k T).
    tau = 600.0 / _STEPS
    squared = aversion * 13.0**2 / (2.5 - 0.05 * tau / 2.0)
    kappa = np.arccosh(squared * tau**2 / 2.0 + 1.0) / tau
    stamps = np.linspace(0.0, 600.0, _STEPS + 1)
    return quantity * np.sinh(kappa * (600.0 - stamps)) / np.sinh(kappa * 600.0)


def fee(count: int) -> dict[str, Any]:
    """Time the fee of a mixed order; a sample is the mean of 100."""
    tables = FeeTables.load()
    tier = tables.tiers("okx", "perpetual")[0]
    rates = tables.rates("okx", "perpetual", tier)
    found = tables.fee_bps("okx", "perpetual", tier, maker_share=0.25)
    assert abs(found - _BPS * (0.25 * rates.maker + 0.75 * rates.taker)) < 1e-12
    return {
        "us": protocol.timed_in_blocks(
            lambda: tables.fee_bps("okx", "perpetual", tier, maker_share=0.25), count
        )
    }


class Maker:
    """A fitted maker/taker model and rows within what it was fitted on.

    Parameters
    ----------
    folder : Path
        Where its coefficients are written, so that the other side can use the same ones.
    """

    def __init__(self, folder: Path) -> None:
        rng = np.random.default_rng(3)
        self._inputs = np.column_stack(
            [
                rng.uniform(0.05, 5.0, 4_000),
                rng.uniform(5.0, 60.0, 4_000),
                rng.uniform(0.00005, 0.0005, 4_000),
                rng.uniform(0.01, 3.0, 4_000),
            ]
        )
        rows = np.column_stack(
            [
                self._inputs[:, 0] / _MID,
                np.log1p(self._inputs[:, 1]),
                self._inputs[:, 2],
                self._inputs[:, 3] / self._inputs[:, 1],
            ]
        )
        true = 2.0 - 20_000.0 * rows[:, 0] + 2_000.0 * rows[:, 2] - 15.0 * rows[:, 3]
        labels = (rng.random(4_000) < 1.0 / (1.0 + np.exp(-true))).astype(float)
        self.model = MakerTakerModel()
        self.model.fit(rows, labels)
        self.model.save(folder)
        self._rows = rows

    def one(self, count: int) -> dict[str, Any]:
        """Time single orders; a sample is the mean of 100 different ones."""
        inputs = [tuple(row) for row in self._inputs[:100].tolist()]
        said = [self.model.predict_maker_probability(*row, _MID) for row in inputs]
        times = []
        for _ in range(count):
            began = time.perf_counter_ns()
            for spread, depth, volatility, size in inputs:
                self.model.predict_maker_probability(spread, depth, volatility, size, _MID)
            times.append((time.perf_counter_ns() - began) / 1_000 / len(inputs))
        return {"us": times, "said": said, "rows": self._rows[:100].tolist()}

    def batch(self, count: int) -> dict[str, Any]:
        """Time 1,000 rows at once."""
        rows = self._rows[:1_000]
        said = self.model.predict_batch(rows).tolist()
        times = protocol.timed(lambda: self.model.predict_batch(rows), count)
        return {"us": times, "said": said, "rows": rows.tolist()}


def main(folder: Path) -> None:
    engine_kit.quiet()
    maker = Maker(folder)
    steps: dict[str, Callable[[int], dict[str, Any]]] = {
        "impact": impact,
        "slippage": slippage,
        "schedule100": schedule100,
        "fee": fee,
        "maker": maker.one,
        "maker_batch": maker.batch,
    }
    protocol.ready()
    for question in protocol.questions():
        protocol.say(steps[question["what"]](question["count"]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
