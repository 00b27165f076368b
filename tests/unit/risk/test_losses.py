from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_system.domain.errors import ValidationError
from trading_system.risk.losses import LossGuard, LossLimit, LossState

DAY_NS = 86_400_000_000_000
NOON_NS = 20_000 * DAY_NS + DAY_NS // 2


def guard(state: LossState | None = None) -> LossGuard:
    return LossGuard(max_daily_loss_pct=Decimal(2), max_drawdown_pct=Decimal(5), state=state)


def test_a_loss_since_midnight_of_the_limit_breaks_it() -> None:
    judge = guard()
    assert judge.update(Decimal(100_000), NOON_NS) is None
    assert judge.update(Decimal("98000.01"), NOON_NS) is None
    breach = judge.update(Decimal(98_000), NOON_NS)
    assert breach is not None
    assert (breach.limit, breach.loss_pct) == (LossLimit.DAILY_LOSS, 2)
    assert breach.reason == "equity fell 2.00 % since midnight UTC, limit 2 %"


def test_small_losses_of_many_days_add_up_to_a_drawdown() -> None:
    judge, equity = guard(), Decimal(100_000)
    for day in range(4):
        assert judge.update(equity, NOON_NS + day * DAY_NS) is None
        equity -= 1_300
    breach = judge.update(equity + 100, NOON_NS + 4 * DAY_NS)
    assert breach is not None
    assert (breach.limit, breach.loss_pct) == (LossLimit.DRAWDOWN, Decimal("5.1"))
    assert breach.reason == "equity fell 5.10 % from its peak, limit 5 %"
    assert judge.drawdown_pct == Decimal("5.1")


def test_a_new_day_begins_with_the_last_equity_of_the_day_before() -> None:
    judge = guard()
    judge.update(Decimal(100_000), NOON_NS)
    judge.update(Decimal(99_000), NOON_NS + DAY_NS // 2 - 1)
    judge.update(Decimal(98_010), NOON_NS + DAY_NS // 2)
    assert judge.daily_loss_pct == 1
    assert judge.state is not None
    assert judge.state.day_start_equity == 99_000


def test_a_restart_on_the_same_day_keeps_the_day_start_and_the_peak() -> None:
    state = LossState(
        utc_day=20_000, day_start_equity=Decimal(100_000), peak_equity=Decimal(101_000)
    )
    breach = guard(state).update(Decimal(97_900), NOON_NS)
    assert breach is not None
    assert breach.limit is LossLimit.DAILY_LOSS


def test_a_restart_on_a_later_day_keeps_only_the_peak() -> None:
    state = LossState(
        utc_day=19_999, day_start_equity=Decimal(100_000), peak_equity=Decimal(101_000)
    )
    judge = guard(state)
    assert judge.update(Decimal(97_900), NOON_NS) is None
    assert judge.daily_loss_pct == 0
    assert judge.update(Decimal(95_950), NOON_NS) is not None


def test_a_clock_that_jumps_back_begins_no_new_day() -> None:
    judge = guard()
    judge.update(Decimal(100_000), NOON_NS)
    judge.update(Decimal(99_000), NOON_NS - DAY_NS)
    assert judge.daily_loss_pct == 1


def test_a_reset_measures_from_the_newest_equity() -> None:
    judge = guard()
    judge.update(Decimal(100_000), NOON_NS)
    assert judge.update(Decimal(90_000), NOON_NS) is not None
    judge.reset()
    assert judge.drawdown_pct is None
    assert judge.daily_loss_pct is None
    assert judge.update(Decimal(90_000), NOON_NS) is None


def test_an_account_without_equity_has_lost_everything_or_nothing() -> None:
    judge = guard()
    assert judge.update(Decimal(0), NOON_NS) is None
    assert judge.update(Decimal(-1), NOON_NS) is not None


def test_nothing_is_known_before_the_first_equity() -> None:
    assert (guard().daily_loss_pct, guard().drawdown_pct) == (None, None)


def test_equity_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValidationError, match="finite"):
        guard().update(Decimal("NaN"), NOON_NS)


@pytest.mark.parametrize("value", ["0", "-1", "NaN"])
def test_a_limit_that_limits_nothing_is_refused(value: str) -> None:
    with pytest.raises(ValidationError, match="drawdown limit"):
        LossGuard(max_daily_loss_pct=Decimal(1), max_drawdown_pct=Decimal(value))


@given(st.lists(st.integers(min_value=1, max_value=10**9), min_size=1, max_size=40))
def test_the_peak_never_falls_and_the_drawdown_is_a_share(equities: list[int]) -> None:
    judge = guard()
    for step, equity in enumerate(equities):
        judge.update(Decimal(equity), NOON_NS + step * DAY_NS // 3)
        assert judge.state is not None
        assert judge.state.peak_equity == max(equities[: step + 1])
        assert judge.drawdown_pct is not None
        assert 0 <= judge.drawdown_pct < 100
