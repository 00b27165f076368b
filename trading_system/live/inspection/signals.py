"""The newest consensus of each symbol, what it leads to and why, and what was decided before."""

from __future__ import annotations

from typing import Any

from trading_system.domain.instruments import plain
from trading_system.domain.signals import Consensus, MarketFeatures, Vote
from trading_system.live.desk import TradingDesk
from trading_system.live.inspection.texts import figure, milliseconds, side_name
from trading_system.live.session import TradingSession
from trading_system.risk.limits import TradingState
from trading_system.strategies.decisions import Decision

_NS_PER_MS = 1_000_000


def signals(desk: TradingDesk, *, symbol: str | None, limit: int) -> dict[str, Any]:
    """Return what agents say now and the newest decisions; nothing current once it has ended."""
    session = desk.session
    if session is None:
        return {"current": [], "decisions": []}
    states = session.feed.symbols.values() if desk.is_live else ()
    newest = session.trader.decisions.newest(limit, symbol=symbol)
    return {
        "current": [
            _current(desk, session, state.features, state.consensus)
            for state in states
            if state.features is not None
            and state.consensus is not None
            and symbol in {None, state.consensus.symbol}
        ],
        "decisions": [_decision(decision) for decision in newest],
    }


def _current(
    desk: TradingDesk, session: TradingSession, features: MarketFeatures, consensus: Consensus
) -> dict[str, Any]:
    age_ms = max(0, desk.clock.monotonic_ns() - consensus.ts_ns) // _NS_PER_MS
    return {
        "symbol": consensus.symbol,
        "time_ms": milliseconds(desk.clock.utc_ns()) - age_ms,
        "p_up": figure(consensus.p_up),
        "expected_move_bps": figure(consensus.expected_move_bps, digits=4),
        "uncertainty_bps": figure(consensus.uncertainty_bps, digits=4),
        "agreement": figure(consensus.agreement),
        "has_quorum": consensus.has_quorum,
        "horizon_s": figure(consensus.horizon_s),
        "direction": _direction(consensus.expected_move_bps),
        "votes": [_vote(vote) for vote in consensus.votes],
        "verdict": _verdict(desk, session, features, consensus),
    }


def _verdict(
    desk: TradingDesk, session: TradingSession, features: MarketFeatures, consensus: Consensus
) -> str:
    strategy = desk.settings.strategy.name
    if strategy != "signals":
        return f"no trade: signals are only shown, TRADING_STRATEGY__NAME is {strategy}"
    return session.trader.verdict(features, consensus, withheld=_withheld(session, features.symbol))


def _withheld(session: TradingSession, symbol: str) -> str | None:
    """Return why the session lets no trade begin, None if it does."""
    if not session.private.is_up:
        return "the private stream is down"
    state = session.engine.state
    if state is not TradingState.ACTIVE:
        reasons = "; ".join(session.engine.holds.reasons.values())
        return f"trading is {state.value}: {reasons}"
    if not session.restraint.may_enter(symbol):
        return "the health score throttles new trades"
    return None


def _direction(move_bps: float) -> str:
    if not move_bps:
        return "flat"
    return "up" if move_bps > 0 else "down"


def _vote(vote: Vote) -> dict[str, Any]:
    opinion = vote.opinion
    return {
        "agent": vote.agent,
        "family": vote.family,
        "weight": figure(vote.weight),
        "note": vote.note,
        "p_up": None if opinion is None else figure(opinion.p_up),
        "expected_move_bps": (
            None if opinion is None else figure(opinion.expected_move_bps, digits=4)
        ),
        "reasons": [] if opinion is None else list(opinion.reasons),
    }


def _decision(decision: Decision) -> dict[str, Any]:
    parent, consensus = decision.parent, decision.consensus
    return {
        "time_ms": milliseconds(decision.utc_ns),
        "symbol": parent.symbol,
        "action": decision.action,
        "side": side_name(parent.side),
        "quantity": plain(parent.quantity),
        "purpose": parent.purpose,
        "expected_move_bps": (
            None if consensus is None else figure(consensus.expected_move_bps, digits=4)
        ),
        "cost_bps": figure(decision.cost_bps, digits=4),
        "p_up": None if consensus is None else figure(consensus.p_up),
        "outcome": decision.outcome,
    }
