"""The maker moves and cancels its own quotes only; what else rests is somebody else's."""

from dataclasses import replace

from quoting_venue import FakeQuotingVenue, VirtualTime

from agents.market_maker.maker import MarketMaker
from agents.market_maker.own import OwnQuotes


def test_only_orders_with_a_link_id_that_was_given_out_are_its_own() -> None:
    venue = FakeQuotingVenue()
    own = OwnQuotes(venue)
    link_id = own.next_link_id()
    assert own.resting_orders("BTCUSDT") == ()
    assert link_id != venue.next_link_id()


async def test_an_order_of_somebody_else_survives_cycles_and_pulls() -> None:
    time = VirtualTime()
    venue = FakeQuotingVenue(clock=time.clock)
    maker = MarketMaker(venue, symbols=["BTCUSDT"], clock=time.clock, pause=time.sleep)
    await time.until_done(maker.cycle())
    mine = dict(venue.orders)
    assert mine
    foreign = replace(next(iter(mine.values())), link_id="ts-passive-child")
    venue.orders[foreign.link_id] = foreign
    await time.until_done(maker.cycle())
    assert await time.until_done(maker.pull("test"))
    assert list(venue.orders) == [foreign.link_id]
