"""Where the market stands some seconds after a fill."""

from decimal import Decimal

import pytest

from trading_system.domain.orders import Fill, Side
from trading_system.live.markout import MarkOut

S = 1_000_000_000


def fill(side: Side, price: int, *, at_s: float, symbol: str = "BTCUSDT") -> Fill:
    return Fill(
        exec_id=f"{side}{at_s}",
        link_id="l",
        order_id="o",
        symbol=symbol,
        side=side,
        price=Decimal(price),
        quantity=Decimal(1),
        fee=Decimal(0),
        is_maker=True,
        ts_exchange_ns=round(at_s * S),
    )


def test_a_falling_market_is_a_loss_of_the_buyer_and_a_gain_of_the_seller() -> None:
    markout = MarkOut()
    markout.on_fill(fill(Side.BUY, 10_000, at_s=5.0))
    markout.on_mid("BTCUSDT", round(5.5 * S), Decimal(10_500))  # too early
    assert markout.figures()["1_s"] == {"mean_bps": None, "fills": 0}
    markout.on_mid("BTCUSDT", 6 * S, Decimal(9_990))
    assert markout.figures()["1_s"] == {"mean_bps": -10.0, "fills": 1}
    markout.on_fill(fill(Side.SELL, 10_000, at_s=6.0))
    markout.on_mid("ETHUSDT", 99 * S, Decimal(1))  # another symbol's
    markout.on_mid("BTCUSDT", 15 * S, Decimal(9_980))
    figures = markout.figures()
    assert figures["1_s"]["fills"] == 2
    assert figures["1_s"]["mean_bps"] == pytest.approx(5.0)
    assert figures["10_s"] == {"mean_bps": -20.0, "fills": 1}
