"""Opinions of agents and what the strategy makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

FEATURE_NAMES = (
    "spread_bps",
    "volatility_bps",
    "imbalance",
    "imbalance_slow",
    "imbalance_1",
    "imbalance_5",
    "imbalance_20",
    "micro_deviation_bps",
    "order_flow_fast",
    "order_flow",
    "order_flow_slow",
    "trade_flow_fast",
    "trade_flow",
    "trade_flow_slow",
    "return_1s_bps",
    "return_5s_bps",
    "return_30s_bps",
)
"""Fields of :class:`MarketFeatures` that models learn from, in the order of a model's input.

Ticker fields are left out: they change too slowly to predict the next seconds.
"""

UNSIGNED_FEATURES = frozenset({"spread_bps", "volatility_bps"})
"""Model inputs without a direction: all others change sign when the market is mirrored."""


class MarketFeatures(NamedTuple):
    """What an agent sees of one symbol at one instant; every value is finite.

    A tuple, because one is made for every decision. A value that is not known yet is 0. Flow and
    imbalance are positive when buyers press.

    Parameters
    ----------
    mid : float
        Middle of best bid and ask, quote currency.
    spread_bps : float
        Quoted spread relative to mid, basis points.
    imbalance : float
        (bid - ask) / (bid + ask) sizes of the top levels, in [-1, 1], averaged over 1 s.
    micro_deviation_bps : float
        Micro-price minus mid, basis points of mid.
    order_flow : float
        Exponentially weighted order-flow imbalance over its own weighted magnitude, in [-1, 1].
    trade_flow : float
        Exponentially weighted signed trade volume over its own weighted magnitude, in [-1, 1].
    ts_ns : int
        Monotonic receive time of the newest message used.
    imbalance_slow : float
        As ``imbalance``, averaged over 5 s.
    imbalance_1, imbalance_5, imbalance_20 : float
        Imbalance of the best 1, 5 and 20 levels at this instant, in [-1, 1].
    order_flow_fast, order_flow_slow, trade_flow_fast, trade_flow_slow : float
        As ``order_flow`` and ``trade_flow`` with time constants of 0.25 s and 5 s.
    return_1s_bps, return_5s_bps, return_30s_bps : float
        Move of the mid over the last 1, 5 and 30 s, basis points, on a grid of 0.1 s; over the
        history there is while it is shorter.
    volatility_bps : float
        Realised volatility of the mid, basis points per square root of a second: moves on a grid
        of 0.1 s, weighted with a time constant of 10 s; 0 before the first of them.
    has_ticker : bool
        Whether a ticker has come; the fields below are 0 without one.
    funding_rate_bps : float
        Rate of the coming funding settlement, basis points of the position's value.
    basis_bps : float
        Mark price over index price, basis points.
    open_interest_change_bps : float
        Change of open interest since the first ticker of the last minute, basis points.
    """

    symbol: str
    mid: float
    spread_bps: float
    imbalance: float
    micro_deviation_bps: float
    order_flow: float
    trade_flow: float
    ts_ns: int
    imbalance_slow: float = 0.0
    imbalance_1: float = 0.0
    imbalance_5: float = 0.0
    imbalance_20: float = 0.0
    order_flow_fast: float = 0.0
    order_flow_slow: float = 0.0
    trade_flow_fast: float = 0.0
    trade_flow_slow: float = 0.0
    return_1s_bps: float = 0.0
    return_5s_bps: float = 0.0
    return_30s_bps: float = 0.0
    volatility_bps: float = 0.0
    has_ticker: bool = False
    funding_rate_bps: float = 0.0
    basis_bps: float = 0.0
    open_interest_change_bps: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """One agent's view of one symbol.

    Parameters
    ----------
    p_up : float
        Probability that the mid is higher at the end of the horizon, in [0, 1].
    expected_move_bps : float
        Expected change of the mid over the horizon, basis points, positive up.
    uncertainty_bps : float
        Standard error of that expectation, basis points, not negative.
    horizon_s : float
        How far ahead the expectation looks, seconds.
    samples : int
        Matured outcomes the agent has learned from.
    reasons : tuple of str
        At most five short reasons, for people.
    """

    agent: str
    symbol: str
    p_up: float
    expected_move_bps: float
    uncertainty_bps: float
    horizon_s: float
    samples: int
    ts_ns: int
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """What became of one agent in one consensus.

    Parameters
    ----------
    weight : float
        Share in the pool, in [0, 1]; 0 when the agent did not take part.
    opinion : Opinion or None
        None when it abstained, failed or was too late; ``note`` says which.
    """

    agent: str
    family: str
    weight: float
    opinion: Opinion | None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Consensus:
    """The panel's pooled view of one symbol at one instant.

    Parameters
    ----------
    p_up : float
        Pooled probability that the mid is higher at the end of the horizon, in [0, 1].
    expected_move_bps : float
        Pooled expected change of the mid, basis points, positive up.
    uncertainty_bps : float
        Standard error of that expectation, disagreement included, basis points.
    agreement : float
        1 when all agents agree on the direction, 0 when they are split evenly.
    horizon_s : float
        How far ahead it looks, seconds.
    has_quorum : bool
        Whether enough independent agents took part to act on it.
    votes : tuple of Vote
        Every agent of the panel in a fixed order.
    """

    symbol: str
    p_up: float
    expected_move_bps: float
    uncertainty_bps: float
    agreement: float
    horizon_s: float
    has_quorum: bool
    votes: tuple[Vote, ...]
    ts_ns: int
