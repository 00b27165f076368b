"""What every signal agent must keep to, as one check that its author can run."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from trading_system.domain.errors import ValidationError
from trading_system.domain.ports import Clock, SignalAgent
from trading_system.domain.signals import MarketFeatures, Opinion

MAX_OPINION_S = 0.001
"""Longest median time of ``observe`` and ``opinion`` together, seconds: ten times the budget,
so that a busy machine does not fail an agent that is fast enough."""

_SYMBOL = "TESTUSDT"
_STEP_NS = 50_000_000
_START_NS = 1_000_000_000
_STEPS = 600
_GAP_NS = 30_000_000_000
_MAX_REASONS = 5

Make = Callable[[str], SignalAgent]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConformanceReport:
    """What the check saw.

    Parameters
    ----------
    opinions : int
        Opinions on the made-up market; 0 is allowed, an agent may always abstain.
    median_s : float
        Median time of one observation and opinion, seconds.
    """

    agent: str
    family: str
    opinions: int
    median_s: float


def check_signal_model(make: Make, *, clock: Clock) -> ConformanceReport:
    """Run the agent that ``make`` builds on a made-up market and check all it says.

    Checked: it has a name and a family; without data it abstains; every opinion is finite, in
    range, of the right agent, symbol and time; the same market gives the same opinions; after
    :meth:`reset` and a gap it still answers, and says nothing about times before the gap; one
    decision is fast.

    Raises
    ------
    ValidationError
        Naming the first rule that the agent breaks.
    """
    market = made_up_market()
    agent = make(_SYMBOL)
    _require(isinstance(agent.name, str) and bool(agent.name), "name must be a text")
    _require(isinstance(agent.family, str) and bool(agent.family), "family must be a text")
    _require(make(_SYMBOL).opinion(market[0]) is None, "must abstain before it has seen anything")
    opinions, times = _run(agent, market, clock)
    again, _ = _run(make(_SYMBOL), market, clock)
    _require(opinions == again, "must say the same about the same market")
    _after_a_gap(agent, market, clock)
    median_s = sorted(times)[len(times) // 2]
    _require(
        median_s <= MAX_OPINION_S,
        f"needs {median_s * 1e6:.0f} us per decision, at most {MAX_OPINION_S * 1e6:.0f}",
    )
    return ConformanceReport(
        agent=agent.name,
        family=agent.family,
        opinions=sum(each is not None for each in opinions),
        median_s=median_s,
    )


def made_up_market(*, seed: int = 1, steps: int = _STEPS) -> list[MarketFeatures]:
    """Return half a minute of a seeded market in which book pressure moves the mid."""
    rng = random.Random(seed)
    pressure, mid = 0.0, 50_000.0
    mids = [mid]
    made = []
    for step in range(steps):
        pressure = max(-1.0, min(1.0, 0.99 * pressure + 0.1 * rng.gauss(0, 1)))
        mid *= 1.0 + (0.1 * pressure + 0.3 * rng.gauss(0, 1)) / 10_000
        mids.append(mid)
        made.append(_instant(rng, mids, pressure, _START_NS + step * _STEP_NS))
    return made


def _instant(rng: random.Random, mids: list[float], pressure: float, ts_ns: int) -> MarketFeatures:
    def near() -> float:
        return max(-1.0, min(1.0, pressure + 0.2 * rng.gauss(0, 1)))

    def move_bps(steps: int) -> float:
        return (mids[-1] / mids[max(0, len(mids) - 1 - steps)] - 1.0) * 10_000

    return MarketFeatures(
        symbol=_SYMBOL,
        mid=mids[-1],
        spread_bps=0.02 + 0.01 * rng.random(),
        imbalance=pressure,
        micro_deviation_bps=0.01 * near(),
        order_flow=near(),
        trade_flow=near(),
        ts_ns=ts_ns,
        imbalance_slow=pressure,
        imbalance_1=near(),
        imbalance_5=near(),
        imbalance_20=near(),
        order_flow_fast=near(),
        order_flow_slow=near(),
        trade_flow_fast=near(),
        trade_flow_slow=near(),
        return_1s_bps=move_bps(20),
        return_5s_bps=move_bps(100),
        return_30s_bps=move_bps(600),
        volatility_bps=1.4,
    )


def _run(
    agent: SignalAgent, market: list[MarketFeatures], clock: Clock
) -> tuple[list[Opinion | None], list[float]]:
    opinions: list[Opinion | None] = []
    times: list[float] = []
    for features in market:
        started_ns = clock.monotonic_ns()
        agent.observe(features)
        opinion = agent.opinion(features)
        times.append((clock.monotonic_ns() - started_ns) / 1e9)
        if opinion is not None:
            _check_opinion(agent, features, opinion)
        opinions.append(opinion)
    return opinions, times


def _after_a_gap(agent: SignalAgent, market: list[MarketFeatures], clock: Clock) -> None:
    agent.reset()
    agent.reset()
    later_ns = market[-1].ts_ns - market[0].ts_ns + _GAP_NS
    _run(agent, [_moved(features, later_ns) for features in market[:100]], clock)


def _moved(features: MarketFeatures, by_ns: int) -> MarketFeatures:
    return features._replace(ts_ns=features.ts_ns + by_ns, mid=features.mid * 1.1)


def _check_opinion(agent: SignalAgent, features: MarketFeatures, opinion: Opinion) -> None:
    numbers = (
        opinion.p_up,
        opinion.expected_move_bps,
        opinion.uncertainty_bps,
        opinion.horizon_s,
    )
    _require(all(math.isfinite(each) for each in numbers), "every number must be finite")
    _require(0.0 <= opinion.p_up <= 1.0, "p_up must be in [0, 1]")
    _require(opinion.uncertainty_bps >= 0.0, "uncertainty_bps must not be negative")
    _require(opinion.horizon_s > 0.0, "horizon_s must be positive")
    _require(opinion.samples >= 0, "samples must not be negative")
    _require(opinion.agent == agent.name, "an opinion must carry its agent's name")
    _require(opinion.symbol == features.symbol, "an opinion must carry its features' symbol")
    _require(opinion.ts_ns == features.ts_ns, "an opinion must carry its features' time")
    _require(len(opinion.reasons) <= _MAX_REASONS, "at most five reasons")


def _require(is_kept: bool, rule: str) -> None:  # noqa: FBT001 - reads as a claim
    if not is_kept:
        raise ValidationError(f"signal agent: {rule}")
