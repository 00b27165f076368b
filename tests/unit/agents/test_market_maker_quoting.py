"""Spreads, quotes and plans by hand-computed numbers."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal

import pytest
from quoting_venue import instrument

from agents.market_maker.plan import Move, batches, needs_move, plan
from agents.market_maker.quoting import Quoter, Scale, Silence
from agents.market_maker.spreads import atr_stance, optimal_spread, reservation_price
from trading_system.config.sections import MarketMakerSettings
from trading_system.domain.errors import ValidationError
from trading_system.domain.orders import RestingOrder, Side
from trading_system.domain.ports import QuoteView

D = Decimal
VIEW = QuoteView(
    symbol="BTCUSDT",
    bid=D("59999.5"),
    ask=D("60000.5"),
    mid=60_000.0,
    microprice=60_000.0,
    age_s=0.0,
    position=D(0),
)
PAPER = {"risk_aversion": 0.1, "sigma": 2.0, "horizon_s": 1.0}


def quoter(fee: float = 0.0002, *, venue: dict | None = None, **settings) -> Quoter:
    return Quoter(
        instrument(**(venue or {})),
        MarketMakerSettings(**{"atr_multiple": 0.25} | settings),
        maker_fee=fee,
    )


def ticks(quotes) -> list[int]:
    return [quote.ticks for quote in quotes]


def resting(side: Side, ticks: int, *, lots: int = 8, settled: bool = True) -> RestingOrder:
    return RestingOrder(
        link_id=f"{side.name}{ticks}",
        symbol="BTCUSDT",
        side=side,
        price=D("0.1") * ticks,
        open_quantity=D("0.001") * lots,
        is_settled_in=settled,
    )


def test_spread_of_the_paper():
    assert optimal_spread(decay=1.5, **PAPER) == pytest.approx(1.690770, abs=1e-6)
    no_variance = PAPER | {"sigma": 0.0}
    assert optimal_spread(decay=1.5, **no_variance) == pytest.approx(1.290770, abs=1e-6)


def test_reservation_price_of_the_paper():
    assert reservation_price(100.0, inventory=1.0, **PAPER) == pytest.approx(99.6, abs=1e-12)
    assert reservation_price(100.0, inventory=-1.0, **PAPER) == pytest.approx(100.4, abs=1e-12)


@pytest.mark.parametrize("risk_aversion", [1e-12, 0.0])
def test_without_risk_aversion_the_spread_is_two_decay_lengths(risk_aversion):
    spread = optimal_spread(decay=1.5, **PAPER | {"risk_aversion": risk_aversion})
    assert spread == pytest.approx(4.0 / 3.0, abs=1e-9)


def test_spread_does_not_depend_on_the_unit_of_the_coin():
    one = optimal_spread(risk_aversion=0.1, sigma=6.0, horizon_s=60.0, decay=0.05, lot=0.01)
    # A thousandth of the coin: price, volatility and decay length shrink, the lot grows.
    other = optimal_spread(risk_aversion=0.1, sigma=0.006, horizon_s=60.0, decay=50.0, lot=10.0)
    assert other * 1000 == pytest.approx(one, rel=1e-12)


def test_spread_that_follows_the_range_is_clipped_and_skewed():
    flat = {"multiple": 0.25, "skew": 1.0, "least": 5.0, "most": 20.0}
    assert atr_stance(40.0, inventory_share=0.5, **flat) == (-5.0, 10.0)
    assert atr_stance(4.0, inventory_share=-0.5, **flat) == (2.5, 5.0)
    assert atr_stance(4_000.0, inventory_share=-9.0, **flat) == (20.0, 20.0)


def test_tiers_stand_where_the_range_puts_them():
    quotes = quoter().quotes(VIEW, Scale(atr=80.0))
    assert ticks(quotes.bids) == [599_800, 599_680, 599_560]
    assert ticks(quotes.asks) == [600_200, 600_320, 600_440]
    assert {quote.lots for quote in quotes.bids + quotes.asks} == {8}


def test_quiet_range_leaves_the_fee_floor():
    quotes = quoter().quotes(VIEW, Scale(atr=0.0))
    assert ticks(quotes.bids)[0] == 599_850
    assert ticks(quotes.asks)[0] == 600_150


def test_rebate_may_quote_inside_the_touch_but_never_through_it():
    quotes = quoter(-0.0001, min_edge_bps=0.0).quotes(VIEW, Scale(atr=0.0))
    assert (ticks(quotes.bids)[0], ticks(quotes.asks)[0]) == (600_000, 600_001)
    skewed = quoter(-0.0001, min_edge_bps=0.0, inventory_skew=5.0)
    quotes = skewed.quotes(replace(VIEW, position=D("0.04")), Scale(atr=80.0))
    assert ticks(quotes.asks)[0] == 599_996  # a tick above the best bid
    quotes = skewed.quotes(replace(VIEW, position=D("-0.04")), Scale(atr=80.0))
    assert ticks(quotes.bids)[0] == 600_004  # a tick below the best ask


@pytest.mark.parametrize("position", ["0.04", "-0.04"])
def test_skew_leans_against_the_inventory(position):
    quotes = quoter().quotes(replace(VIEW, position=D(position)), Scale(atr=80.0))
    middle = (quotes.asks or quotes.bids)[0].ticks
    assert (middle - 600_000) * D(position) < 0 or middle == 600_200 - 160


def test_inventory_leaves_whole_quotes_only_as_far_as_it_has_room():
    long = quoter().quotes(replace(VIEW, position=D("0.030")), Scale(atr=80.0))
    assert (len(long.bids), len(long.asks)) == (2, 3)
    full = quoter().quotes(replace(VIEW, position=D("0.05")), Scale(atr=80.0))
    assert (len(full.bids), len(full.asks)) == (0, 3)
    assert full.silence is None


def test_odd_position_counts_as_the_next_lot():
    quotes = quoter().quotes(replace(VIEW, position=D("-0.0301")), Scale(atr=80.0))
    assert quotes.position_lots == -31
    assert len(quotes.asks) == 2


def test_limit_below_one_quote_silences_both_sides():
    quotes = quoter(max_inventory_notional=100).quotes(VIEW, Scale(atr=80.0))
    assert quotes.silence is Silence.FULL


def test_quote_below_the_least_value_is_not_made():
    assert quoter(quote_notional=30).quotes(VIEW, Scale(80.0)).silence is Silence.TOO_SMALL
    strict = quoter(venue={"min_notional": D(1_000)})
    assert strict.quotes(VIEW, Scale(80.0)).silence is Silence.TOO_SMALL


def test_tiers_outside_the_venues_prices_are_left_out():
    narrow = quoter(venue={"min_price": D(59_970), "max_price": D(60_021)})
    quotes = narrow.quotes(VIEW, Scale(atr=80.0))
    assert (len(quotes.bids), len(quotes.asks)) == (1, 1)


def test_avellaneda_stoikov_needs_its_volatility():
    model = quoter(quoting="avellaneda-stoikov")
    assert model.quotes(VIEW, Scale(80.0)).silence is Silence.NO_VOLATILITY
    assert model.quotes(VIEW, None).silence is Silence.NO_VOLATILITY
    assert model.quotes(VIEW, Scale(80.0, 1e-4)).silence is None


def test_avellaneda_stoikov_by_hand():
    settings = {"quoting": "avellaneda-stoikov", "risk_aversion": 100.0, "arrival_decay_bps": 3.0}
    quotes = quoter(**settings).quotes(replace(VIEW, position=D("0.024")), Scale(80.0, 2e-4))
    sigma2_t = (60_000 * 2e-4) ** 2 * 60
    centre = 60_000 - 0.024 * 0.1 * sigma2_t
    aversion = 0.1 * 0.008
    width = aversion * sigma2_t + 2 / aversion * math.log(1 + aversion * 18.0)
    assert ticks(quotes.asks)[0] == math.ceil((centre + width / 2) * 10)
    assert ticks(quotes.bids)[0] == math.floor((centre - width / 2) * 10)


@pytest.mark.parametrize("fee", [0.5, -0.5, math.nan])
def test_fee_that_is_no_fraction_is_refused(fee):
    with pytest.raises(ValidationError, match="fee"):
        quoter(fee)


def test_floor_is_exact_to_the_tick():
    model = quoter(0.0002, min_edge_bps=1.0)
    ask = model.lowest_ask(600_000)
    assert (ask, model.highest_bid(ask)) == (600_301, 600_000)


def test_filled_tier_is_created_anew_without_moving_the_others():
    model = quoter()
    target = model.quotes(VIEW, Scale(atr=80.0))
    orders = [resting(q.side, q.ticks) for q in target.bids[1:] + target.asks]
    changes = plan(target, orders, model)
    assert changes.first.creates == target.bids[:1]
    assert not changes.first.amends
    assert not changes.first.cancels
    assert changes.kept == 5


def test_side_that_moves_away_goes_first_and_the_other_follows_after_it():
    model = quoter()
    before = model.quotes(VIEW, Scale(atr=0.0))
    orders = [resting(q.side, q.ticks) for q in before.bids[:1] + before.asks[:1]]
    moved = replace(VIEW, bid=VIEW.bid + 12, ask=VIEW.ask + 12)
    target = quoter(tiers=1).quotes(moved, Scale(atr=0.0))
    changes = plan(target, orders, model)
    assert changes.first.amends == (Move("SELL600150", Side.SELL, target.asks[0].ticks, 0),)
    assert changes.second.amends == (Move("BUY599850", Side.BUY, target.bids[0].ticks, 0),)


def test_size_that_does_not_fit_is_replaced():
    model = quoter(tiers=1)
    target = model.quotes(VIEW, Scale(atr=80.0))
    half, small = resting(Side.BUY, 599_800, lots=4), resting(Side.BUY, 599_800, lots=3)
    assert plan(target, [half], model).kept == 1
    changes = plan(target, [small], model)
    assert changes.first.cancels == (small.link_id,)
    assert len(changes.first.creates) == 2


def test_shrunken_limit_cancels_the_outermost():
    model = quoter()
    target = replace(model.quotes(VIEW, Scale(atr=80.0)), limit_lots=17)
    orders = [resting(q.side, q.ticks) for q in target.bids]
    assert plan(target, orders, model).first.cancels == (orders[2].link_id,)


def test_surplus_orders_go_from_the_outside_the_nearest_of_them_first():
    model = quoter(tiers=1)
    target = model.quotes(VIEW, Scale(atr=80.0))
    orders = [resting(Side.BUY, t) for t in (599_700, 599_800, 599_600)]
    changes = plan(target, orders, model)
    assert changes.first.cancels == ("BUY599700", "BUY599600")
    assert changes.kept == 1


def test_quote_gives_way_to_an_order_of_unknown_fate():
    model = quoter()
    target = model.quotes(VIEW, Scale(atr=80.0))
    stuck = resting(Side.SELL, 599_700, settled=False)
    changes = plan(target, [stuck], model)
    bids = [q.ticks for q in changes.first.creates if q.side is Side.BUY]
    assert bids[0] == model.highest_bid(599_700)
    assert bids == sorted(set(bids), reverse=True)


def test_no_bid_is_left_below_an_unknown_ask_at_the_lowest_prices():
    model = quoter()
    target = model.quotes(VIEW, Scale(atr=80.0))
    changes = plan(target, [resting(Side.SELL, 1, settled=False)], model)
    assert all(quote.side is Side.SELL for quote in changes.first.creates)


def test_need_to_move_counts_settled_orders_at_the_opposite_touch():
    model, touch = quoter(), (599_995, 600_005)
    assert needs_move(touch, [resting(Side.BUY, 600_005)], model)
    assert needs_move(touch, [resting(Side.SELL, 599_995)], model)
    assert not needs_move(touch, [resting(Side.BUY, 600_004)], model)
    assert not needs_move(touch, [resting(Side.BUY, 600_005, settled=False)], model)


def test_batches_hold_at_most_their_size():
    assert [list(b) for b in batches([1, 2, 3, 4, 5, 6, 7], 5)] == [[1, 2, 3, 4, 5], [6, 7]]
