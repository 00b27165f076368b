"""A killed venue comes back with everything it had acknowledged."""

import asyncio
import random
from dataclasses import replace
from decimal import Decimal

import pytest
from state_rig import NOW, Life, X

from trading_system.domain.errors import ConfigurationError
from trading_system.domain.orders import Side, TimeInForce
from trading_system.simulation.conditions import StopChange, StopKind
from trading_system.simulation.records import OrderState, VenueReject
from trading_system.simulation.state.file import StateFile

D = Decimal
BUY, SELL = Side.BUY, Side.SELL


@pytest.fixture
def path(tmp_path):
    return tmp_path / "venue.state"


def stop(price):
    return [StopChange(kind=StopKind.STOP_LOSS, price=D(price))]


def live_a_little(life):
    life.trade(BUY, "3", link_id="open-1")
    life.exchange.set_stops(1, X, stop("9.7"), now_ms=NOW + 2)
    life.trade(BUY, "2", "9.80", link_id="rest-1")
    life.trade(SELL, "1", "10.50", link_id="rest-2")
    life.exchange.cancel(1, X, link_id="rest-2", now_ms=NOW + 3)
    life.trade(SELL, "1", reduce_only=True)
    life.trade(SELL, "4", account=2)
    life.exchange.set_leverage(1, X, D(7))
    life.exchange.settle_funding(X, D("0.0001"), now_ms=NOW + 4)


def without_sequence(picture):
    return {
        name: (wallet, replace(position, updated_ms=0), *rest)
        for name, (wallet, position, *rest) in picture.items()
    }


@pytest.mark.parametrize("ends_cleanly", [True, False])
def test_everything_acknowledged_survives(path, ends_cleanly):
    with Life(path) as first:
        live_a_little(first)
        before = first.picture()
        if ends_cleanly:
            first.journal.save()
    with Life(path) as second:
        assert without_sequence(second.picture()) == without_sequence(before)
    with Life(path) as third:
        assert without_sequence(third.picture()) == without_sequence(before)


def test_a_trade_between_two_accounts_is_one_line(path):
    with Life(path) as life:
        life.trade(BUY, "3", "10.01", account=1)
        size = path.read_bytes().count(b"\n")
        life.trade(SELL, "3", "10.01", account=2)
        assert path.read_bytes().count(b"\n") == size + 1
    with Life(path) as again:
        lots = [again.exchange.position(account, X).lots for account in (1, 2)]
    assert lots == [30, -30]


def test_a_kill_in_the_middle_of_any_write_loses_only_that_write(path):
    with Life(path) as life:
        base = path.stat().st_size
        live_a_little(life)
    data = path.read_bytes()
    for cut in random.Random(4).sample(range(base, len(data)), 60):
        path.write_bytes(data[:cut])
        with Life(path) as again:
            exchange = again.exchange
            bought = sum(
                each.lots * each.side.sign
                for each in exchange.executions(1)
                if each.exec_type == "Trade"
            )
            assert exchange.position(1, X).lots == bought
            wallet = exchange.wallet(1)
            assert wallet.wallet_balance == D(10_000) + sum(e.change for e in exchange.ledger(1))


def test_link_ids_stay_used_and_ids_never_come_back(path):
    ids = set()
    with Life(path) as life:
        live_a_little(life)
        ids |= {order.order_id for order in life.exchange.closed_orders(1)}
    with Life(path) as again:
        with pytest.raises(VenueReject) as refused:
            again.trade(BUY, "1", link_id="open-1")
        assert refused.value.code == 110072
        assert again.exchange.find_order(1, link_id="rest-2").state is OrderState.CANCELLED
        fresh = again.trade(BUY, "1")
        assert fresh.order_id not in ids


def test_resting_order_keeps_its_place_price_and_times(path):
    with Life(path) as life:
        order = life.trade(BUY, "2", "9.95")
        times = (order.created_ms, order.updated_ms)
    with Life(path) as again:
        (found,) = again.exchange.open_orders(1)
        assert (found.order_id, (found.created_ms, found.updated_ms)) == (order.order_id, times)
        assert dict(again.exchange.book(X).levels(BUY))[995] == 1020
        again.exchange.house_market(X, SELL, 1020, now_ms=NOW + 5)
        assert again.exchange.position(1, X).lots == 20
        assert again.exchange.open_orders(1) == []


def test_order_that_the_market_passed_meanwhile_trades_and_a_post_only_one_is_cancelled(path):
    with Life(path) as life:
        crossing = life.trade(BUY, "2", "9.95")
        passive = life.trade(BUY, "2", "9.94", time_in_force=TimeInForce.POST_ONLY)
    with Life(path, middle=980) as again:
        done = {order.order_id: order for order in again.exchange.closed_orders(1)}
        assert done[crossing.order_id].state is OrderState.FILLED
        assert done[passive.order_id].reject_reason == "EC_PostOnlyWillTakeLiquidity"
        assert again.exchange.position(1, X).lots == 20


def test_stop_is_armed_again_and_still_fires(path):
    with Life(path) as life:
        life.trade(BUY, "3")
        life.exchange.set_stops(1, X, stop("9.91"), now_ms=NOW + 2)
    with Life(path) as again:
        assert again.exchange.position(1, X).stop_loss == D("9.91")
        again.exchange.house_market(X, SELL, 1001, now_ms=NOW + 5)
        assert again.exchange.position(1, X).lots == 0


def test_stop_killed_between_trigger_and_fill_is_sent_at_the_next_start(path):
    with Life(path) as life:
        life.trade(BUY, "3")
        life.exchange.set_stops(1, X, stop("9.91"), now_ms=NOW + 2)
        life.exchange.house_market(X, SELL, 1001, now_ms=NOW + 5)
    lines = path.read_bytes().splitlines(keepends=True)
    triggered = max(number for number, line in enumerate(lines) if b'"Triggered"' in line)
    path.write_bytes(b"".join(lines[: triggered + 1]))
    with Life(path) as again:
        assert again.exchange.position(1, X).lots == 0
        assert again.exchange.closed_orders(1)[-1].state is OrderState.FILLED


def test_time_and_prices_are_noted(path):
    with Life(path) as life:
        life.exchange.set_reference(X, index_price=D(12), mark_price=D("12.5"))
        life.journal.note_time()
    with StateFile(path) as file:
        saved = file.load()
    assert (saved.marks, saved.now_ms) == ({X: D("12.5")}, NOW)
    assert saved.symbols_at_stake() == set()


def test_book_sequence_never_falls_behind_what_was_published(path):
    with Life(path) as life:
        live_a_little(life)
        published = life.exchange.book(X).sequence
    with Life(path) as again:
        assert again.exchange.book(X).sequence > published


async def test_rewriting_keeps_what_happens_meanwhile(path):
    with Life(path) as life:
        live_a_little(life)
        async with asyncio.TaskGroup() as group:
            rewriting = group.create_task(life.journal.compact())
            await asyncio.sleep(0)
            life.trade(BUY, "2", "9.80", link_id="meanwhile")
            await rewriting
        life.trade(BUY, "2", "9.70", link_id="after")
        before = life.picture()
    with Life(path) as again:
        assert without_sequence(again.picture()) == without_sequence(before)
    assert list(path.parent.glob("*.new-*")) == []


async def test_file_is_rewritten_when_it_has_grown(path):
    with Life(path, compact_bytes=1) as life:
        live_a_little(life)
        grown = path.stat().st_size
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            running = group.create_task(life.journal.run(tick_s=0.0))
            while path.stat().st_size >= grown:
                await asyncio.sleep(0)
            running.cancel()


def test_unwritable_file_refuses_every_later_change(path):
    with Life(path) as life:
        life.file.append(b"")
        descriptor = life.file._descriptor
        life.file._descriptor = -1
        for _ in range(2):
            with pytest.raises(ConfigurationError, match="free space"):
                life.trade(BUY, "2", "9.80")
        life.file._descriptor = descriptor
