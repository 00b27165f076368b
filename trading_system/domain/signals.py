"""Opinions of agents and what the strategy makes of them."""

from __future__ import annotations

from dataclasses import dataclass

FEATURE_NAMES = (
    "spread_bps",
    "imbalance",
    "micro_deviation_bps",
    "order_flow",
    "trade_flow",
)
"""Fields of :class:`MarketFeatures` that models may learn from, in the order of a model's input."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketFeatures:
    """What an agent sees of one symbol at one instant; every value is finite.

    Parameters
    ----------
    mid : float
        Middle of best bid and ask, quote currency.
    spread_bps : float
        Quoted spread relative to mid, basis points.
    imbalance : float
        (bid - ask) / (bid + ask) sizes of the top levels, in [-1, 1].
    micro_deviation_bps : float
        Micro-price minus mid, basis points of mid.
    order_flow : float
        Exponentially weighted order-flow imbalance over its own weighted magnitude, in [-1, 1].
    trade_flow : float
        Exponentially weighted signed trade volume over its own weighted magnitude, in [-1, 1].
    ts_ns : int
        Monotonic receive time of the newest message used.
    """

    symbol: str
    mid: float
    spread_bps: float
    imbalance: float
    micro_deviation_bps: float
    order_flow: float
    trade_flow: float
    ts_ns: int


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
