import pytest

from trading_system.domain.orders import Side
from trading_system.evaluation.cost_queue import QueuePlace


def bid(*, lots: int = 3, ahead_lots: int = 5) -> QueuePlace:
    return QueuePlace(side=Side.BUY, price_ticks=100, lots=lots, ahead_lots=ahead_lots)


def test_trades_eat_the_queue_first_and_the_order_with_what_is_left() -> None:
    place = bid()
    place.on_trade(taker=Side.SELL, price_ticks=100, lots=4)
    assert (place.ahead_lots, place.lots) == (1, 3)
    place.on_trade(taker=Side.SELL, price_ticks=100, lots=3)
    assert (place.ahead_lots, place.lots) == (0, 1)
    assert not place.is_filled
    place.on_trade(taker=Side.SELL, price_ticks=100, lots=50)
    assert (place.ahead_lots, place.lots) == (0, 0)
    assert place.is_filled


def test_trades_of_the_same_direction_or_at_worse_prices_fill_nothing() -> None:
    place = bid(ahead_lots=0)
    place.on_trade(taker=Side.BUY, price_ticks=100, lots=9)
    place.on_trade(taker=Side.SELL, price_ticks=101, lots=9)
    assert (place.ahead_lots, place.lots) == (0, 3)


@pytest.mark.parametrize(("side", "beyond"), [(Side.BUY, 99), (Side.SELL, 101)])
def test_a_trade_beyond_the_price_fills_whatever_was_ahead(side: Side, beyond: int) -> None:
    place = QueuePlace(side=side, price_ticks=100, lots=3, ahead_lots=1_000)
    place.on_trade(taker=side.opposite, price_ticks=beyond, lots=1)
    assert place.is_filled


def test_cancels_are_behind_as_long_as_the_level_shows_enough() -> None:
    place = bid(ahead_lots=5)
    place.on_displayed(8)
    assert place.ahead_lots == 5
    place.on_displayed(2)
    assert place.ahead_lots == 2
    place.on_displayed(40)
    assert place.ahead_lots == 2


@pytest.mark.parametrize(("side", "touch", "beyond"), [(Side.BUY, 100, 99), (Side.SELL, 100, 101)])
def test_the_other_side_fills_only_when_it_is_beyond_the_price(
    side: Side, touch: int, beyond: int
) -> None:
    place = QueuePlace(side=side, price_ticks=100, lots=3, ahead_lots=1)
    place.on_opposite(touch)
    assert not place.is_filled
    place.on_opposite(beyond)
    assert place.is_filled
