"""Coins, spot orders and the two ledger rows of a spot fill survive the venue's process."""

import pytest
from spot_rig import (
    LINEAR,
    OTHER,
    PAIR,
    START_MS,
    TRADER,
    Books,
    D,
    limit,
    market,
    spot_exchange,
    waits_for,
)

from trading_system.domain.orders import Side
from trading_system.simulation.conditions import StopKind
from trading_system.simulation.records import OrderState
from trading_system.simulation.state.entries import Head
from trading_system.simulation.state.file import StateFile
from trading_system.simulation.state.journal import StateJournal
from trading_system.simulation.state.restoring import restore
from trading_system.simulation.statistics import MarketStatistics
from trading_system.simulation.venue import SimulatedVenue

BUY, SELL = Side.BUY, Side.SELL
NOW = START_MS + 10


class StillMarket:
    is_finished = False

    def prepare(self, now_ms):
        """Make nothing."""


def begun(file, generation):
    exchange = spot_exchange(seed=generation)
    venue = SimulatedVenue(exchange, MarketStatistics(exchange), StillMarket())
    venue.prepare(START_MS)
    saved = file.load()
    if saved is not None:
        restore(exchange, saved, now_ms=NOW)
    head = Head(market="synthetic", seed=1, generation=generation, accounts=[TRADER, OTHER])
    return exchange, StateJournal(venue, file, head=head)


def picture(exchange):
    return [
        (
            exchange.wallet(account_id),
            [(order.order_id, order.state) for order in exchange.open_orders(account_id)],
            [(order.order_id, order.trigger) for order in exchange.stop_orders(account_id)],
            list(exchange.executions(account_id)),
            list(exchange.ledger(account_id)),
        )
        for account_id in exchange.accounts
    ]


@pytest.mark.parametrize("ends_cleanly", [True, False])
def test_spot_survives_a_restart(tmp_path, ends_cleanly):
    path = tmp_path / "venue.state"
    with StateFile(path) as file:
        exchange, journal = begun(file, 0)
        exchange.place(1, market(BUY, "0.01", in_quote=False), now_ms=NOW)
        exchange.place(1, market(SELL, "0.001"), now_ms=NOW)
        exchange.place(1, limit(SELL, "0.002", 51_000), now_ms=NOW)
        tpsl = limit(SELL, "0.003", 48_000, trigger=waits_for(49_000, StopKind.TPSL))
        exchange.place(1, tpsl, now_ms=NOW)
        before = picture(exchange)
        if ends_cleanly:
            journal.save()
    with StateFile(path) as file:
        assert file.load().symbols_at_stake() == {PAIR}
        exchange, _ = begun(file, 1)
        assert picture(exchange) == before
        assert Books(exchange).btc_locked == D("0.005")
        (order,) = exchange.stop_orders(1)
        exchange.house_market(PAIR, SELL, 100_000, now_ms=NOW)
        exchange.cancel(1, PAIR, order_id=order.order_id, now_ms=NOW)
        assert order.state is OrderState.DEACTIVATED
        assert Books(exchange).btc_locked == D("0.002")


def test_coins_alone_hold_their_pair_in_the_list(tmp_path):
    with StateFile(tmp_path / "venue.state") as file:
        exchange, journal = begun(file, 0)
        exchange.place(2, market(BUY, 100), now_ms=NOW)
        journal.save()
        assert file.load().symbols_at_stake() == {PAIR}
        assert LINEAR in exchange.instruments
