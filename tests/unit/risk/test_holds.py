import pytest

from trading_system.domain.errors import ValidationError
from trading_system.risk.holds import Hold, Holds
from trading_system.risk.limits import TradingState

REDUCING, HALTED = TradingState.REDUCING, TradingState.HALTED


def test_without_a_hold_trading_is_active() -> None:
    assert Holds().state is TradingState.ACTIVE


def test_the_strictest_hold_rules_whatever_the_order() -> None:
    holds = Holds()
    holds.set("operator", HALTED, "kill")
    holds.set("loss-limit", REDUCING, "lost")
    assert holds.state is HALTED
    assert holds.reasons == {"operator": "kill", "loss-limit": "lost"}


def test_lifting_one_hold_leaves_the_others() -> None:
    holds = Holds()
    holds.set("auth", HALTED, "key refused")
    holds.set("reconciliation", REDUCING, "positions differ")
    assert holds.clear("auth")
    assert holds.state is REDUCING
    assert holds.get("auth") is None
    assert holds.get("reconciliation") == Hold(REDUCING, "positions differ")
    assert not holds.clear("auth")


def test_allowing_everything_is_no_hold() -> None:
    holds = Holds()
    holds.set("venue", HALTED, "gone")
    holds.set("venue", TradingState.ACTIVE, "back")
    assert (holds.state, holds.reasons) == (TradingState.ACTIVE, {})


def test_listeners_hear_changes_of_the_effective_state_only() -> None:
    heard = []
    holds = Holds(lambda before, after: heard.append((before, after)))
    holds.set("operator", REDUCING, "closing time")
    holds.set("venue", REDUCING, "gone")
    holds.clear("venue")
    holds.clear("operator")
    assert heard == [(TradingState.ACTIVE, REDUCING), (REDUCING, TradingState.ACTIVE)]


@pytest.mark.parametrize(("source", "reason"), [("", "why"), ("venue", "")])
def test_a_hold_without_source_or_reason_is_refused(source: str, reason: str) -> None:
    with pytest.raises(ValidationError):
        Holds().set(source, HALTED, reason)
