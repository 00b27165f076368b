"""Opinions of agents and what the strategy makes of them."""

from __future__ import annotations

from dataclasses import dataclass


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
    expected_move_bps : float
        Expected change of the mid over the horizon, basis points, positive up.
    uncertainty_bps : float
        Standard error of that expectation, basis points, not negative.
    horizon_s : float
        How far ahead the expectation looks, seconds.
    samples : int
        Matured outcomes the agent has learned from.
    """

    agent: str
    symbol: str
    expected_move_bps: float
    uncertainty_bps: float
    horizon_s: float
    samples: int
    ts_ns: int
