from decimal import Decimal

import pytest
from paper_client import ASKS, BIDS, ETH

from optimizers.execution.plan import Plan, estimate_cost, make_plan
from optimizers.execution.wishes import Wish, read_wish
from optimizers.microstructure.levels import BookLevels, read_levels
from trading_system.domain.errors import OrderDenied, ValidationError
from trading_system.domain.orders import Side, TimeInForce
from trading_system.domain.parents import ExecutionStyle

BOOK = read_levels("ETHUSDT", {"bids": BIDS, "asks": ASKS})
WIDE = read_levels("ETHUSDT", {"bids": [["3390.00", "50"]], "asks": [["3410.00", "50"]]})  # 59 bps


def wish(**changes: object) -> Wish:
    values: dict[str, object] = {
        "symbol": "ETHUSDT",
        "side": Side.BUY,
        "quantity": Decimal("0.01"),
        "is_limit": False,
        "urgency": "NORMAL",
    }
    return Wish(**{**values, **changes})  # type: ignore[arg-type]  # test data


def planned(
    levels: BookLevels = BOOK,
    *,
    volatility_pct: float | None = None,
    imbalance: float = 0.0,
    max_slippage_bps: float = 5.0,
    **changes: object,
) -> Plan:
    return make_plan(
        wish(**changes),
        levels,
        ETH,
        max_slippage_bps=max_slippage_bps,
        volatility_pct=volatility_pct,
        imbalance=imbalance,
    )


@pytest.mark.parametrize(
    ("urgency", "is_limit", "style", "time_in_force", "said"),
    [
        ("LOW", False, ExecutionStyle.PASSIVE, TimeInForce.POST_ONLY, "PostOnly"),
        ("NORMAL", False, ExecutionStyle.MARKET, TimeInForce.IOC, "IOC"),
        ("HIGH", False, ExecutionStyle.MARKET, TimeInForce.IOC, "IOC"),
        ("LOW", True, ExecutionStyle.LIMIT, TimeInForce.POST_ONLY, "PostOnly"),
        ("NORMAL", True, ExecutionStyle.LIMIT, TimeInForce.GTC, "GTC"),
        ("HIGH", True, ExecutionStyle.MARKET, TimeInForce.FOK, "FOK"),
    ],
)
def test_urgency_and_type_choose_style_and_time_in_force(
    urgency: str, is_limit: bool, style: ExecutionStyle, time_in_force: TimeInForce, said: str
) -> None:
    plan = planned(urgency=urgency, is_limit=is_limit)
    assert plan.parent.style is style
    assert plan.parent.effective_time_in_force is time_in_force
    assert plan.applied()["time_in_force"] == said
    assert (plan.applied()["order_type"] == "Limit") is is_limit


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("urgency", ["LOW", "NORMAL", "HIGH"])
def test_a_wide_spread_makes_every_order_a_limit_order_on_the_grid(
    side: Side, urgency: str
) -> None:
    plan = planned(WIDE, side=side, urgency=urgency)
    price = plan.parent.limit_price
    assert plan.parent.style is ExecutionStyle.LIMIT
    assert price is not None
    assert price % ETH.tick_size == 0
    own = Decimal(3400) - side.sign * 10
    offsets = {"LOW": Decimal(0), "NORMAL": Decimal(5), "HIGH": Decimal("11.70")}
    assert price == own + side.sign * offsets[urgency]
    assert plan.applied()["limit_offset"] == pytest.approx(float(offsets[urgency]))
    assert plan.applied()["use_limit_orders"]


@pytest.mark.parametrize(
    ("imbalance", "volatility_pct", "urgency", "style"),
    [
        (0.5, 0.6, "NORMAL", "AGGRESSIVE"),
        (0.5, 0.6, "LOW", "AGGRESSIVE"),
        (-0.5, 0.05, "NORMAL", "PASSIVE"),
        (-0.5, 0.05, "HIGH", "ULTRA_AGGRESSIVE"),
        (0.5, 0.3, "NORMAL", "CONSERVATIVE"),
        (-0.5, 0.3, "NORMAL", "CONSERVATIVE"),
        (0.2, 0.6, "NORMAL", "CONSERVATIVE"),
        (0.5, None, "NORMAL", "CONSERVATIVE"),
    ],
)
def test_pressure_and_volatility_switch_the_style(
    imbalance: float, volatility_pct: float | None, urgency: str, style: str
) -> None:
    buy = planned(imbalance=imbalance, volatility_pct=volatility_pct, urgency=urgency)
    sell = planned(
        imbalance=-imbalance, volatility_pct=volatility_pct, urgency=urgency, side=Side.SELL
    )
    assert buy.style == sell.style == style


def test_a_quantity_above_the_optimal_size_is_split_on_the_grid() -> None:
    plan = planned(quantity=Decimal(60), max_slippage_bps=3.0)
    parent = plan.parent
    assert parent.style is ExecutionStyle.TWAP
    assert parent.chunk_quantity is not None
    assert parent.chunk_quantity % ETH.qty_step == 0
    assert float(parent.chunk_quantity) <= plan.estimate.optimal_quantity
    applied = plan.applied()
    assert applied["split_order"]
    assert applied["chunks"] == -(-60 // float(parent.chunk_quantity))
    assert applied["chunk_size"] == float(parent.chunk_quantity)


def test_a_chunk_is_never_below_the_least_order() -> None:
    thin = read_levels(
        "ETHUSDT", {"bids": [["3399.90", "9"]], "asks": [["3400.10", "0.001"], ["3500", "9"]]}
    )
    for is_closing in (False, True):
        chunk = planned(thin, quantity=Decimal(1), reduce_only=is_closing).parent.chunk_quantity
        assert chunk == Decimal("0.01")


def test_the_estimate_is_an_exact_walk_or_nothing() -> None:
    small = estimate_cost(BOOK, side=Side.BUY, quantity=3.0, max_slippage_bps=5.0)
    assert small.expected_bps == pytest.approx((10_201.1 / 3 - 3400) / 3400 * 1e4, abs=1e-9)
    assert small.impact_bps == pytest.approx(small.expected_bps - small.spread_bps)
    assert (
        estimate_cost(BOOK, side=Side.BUY, quantity=99.0, max_slippage_bps=5.0).impact_bps is None
    )


@pytest.mark.parametrize(
    ("quantity", "price", "reason"),
    [("0.001", "3400", "quantity_range"), ("0.01", "100", "min_notional")],
)
def test_an_order_too_small_for_the_venue_is_refused(
    quantity: str, price: str, reason: str
) -> None:
    levels = read_levels(
        "ETHUSDT", {"bids": [[price, "9"]], "asks": [[str(float(price) + 0.01), "9"]]}
    )
    with pytest.raises(OrderDenied) as refused:
        planned(levels, quantity=Decimal(quantity))
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    "changes",
    [
        {"side": "buy"},
        {"order_type": "Stop"},
        {"urgency": "ASAP"},
        {"quantity": 0},
        {"quantity": -1},
        {"quantity": float("nan")},
        {"quantity": float("inf")},
        {"quantity": "much"},
    ],
)
def test_arguments_that_make_no_sense_are_programming_errors(changes: dict[str, object]) -> None:
    values: dict[str, object] = {
        "side": "Buy",
        "quantity": 0.01,
        "order_type": "Market",
        "urgency": "NORMAL",
        "reduce_only": False,
    }
    values.update(changes)
    with pytest.raises(ValidationError):
        read_wish("ETHUSDT", **values)  # type: ignore[arg-type]  # wrong on purpose
