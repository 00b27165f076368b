from decimal import Decimal

import pytest

from trading_system.domain.errors import ValidationError
from trading_system.domain.orders import Side, TimeInForce
from trading_system.domain.parents import ExecutionStyle, ParentOrder, ParentResult


def parent(**changes: object) -> ParentOrder:
    values: dict[str, object] = {
        "symbol": "BTCUSDT",
        "side": Side.BUY,
        "quantity": Decimal("0.1"),
        "style": ExecutionStyle.MARKET,
        "reduce_only": False,
        "max_slippage_bps": 10.0,
        "time_limit_s": 10.0,
        "purpose": "test",
    }
    return ParentOrder(**{**values, **changes})  # type: ignore[arg-type]  # test data


@pytest.mark.parametrize(
    "changes",
    [
        {"quantity": Decimal(0)},
        {"quantity": Decimal("NaN")},
        {"time_limit_s": float("inf")},
        {"max_slippage_bps": -1.0},
        {"passive_s": float("nan")},
        {"chunk_quantity": Decimal(-1)},
        {"impact_budget_bps": -0.1},
        {"jitter": 0.6},
        {"time_in_force": TimeInForce.GTC},
        {"style": ExecutionStyle.LIMIT, "time_in_force": TimeInForce.IOC},
        {"style": ExecutionStyle.PASSIVE, "limit_price": Decimal(1)},
    ],
)
def test_a_parent_that_makes_no_sense_cannot_be_made(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        parent(**changes)


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        (ExecutionStyle.MARKET, TimeInForce.IOC),
        (ExecutionStyle.PASSIVE, TimeInForce.POST_ONLY),
        (ExecutionStyle.LIMIT, TimeInForce.GTC),
        (ExecutionStyle.TWAP, TimeInForce.IOC),
    ],
)
def test_each_style_has_a_time_in_force_of_its_own(
    style: ExecutionStyle, expected: TimeInForce
) -> None:
    assert parent(style=style).effective_time_in_force is expected


def test_a_result_without_a_fill_has_no_cost() -> None:
    result = ParentResult(parent=parent(), arrival_mid=Decimal(100))
    assert (result.slippage_bps, result.fees_bps, result.average_price) == (None, None, None)
    assert (result.fill_rate, result.remaining_quantity) == (0.0, Decimal("0.1"))
    assert not result.is_success


def test_cost_is_positive_for_a_dear_purchase_and_a_cheap_sale() -> None:
    for side, price in ((Side.BUY, 101), (Side.SELL, 99)):
        result = ParentResult(
            parent=parent(side=side),
            arrival_mid=Decimal(100),
            filled_quantity=Decimal("0.1"),
            filled_value=Decimal("0.1") * price,
            fees=Decimal("0.01"),
        )
        assert result.slippage_bps == pytest.approx(100.0)
        assert result.fill_rate == 1.0
        assert not result.is_success
