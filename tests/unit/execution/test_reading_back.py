"""What can be read of a run afterwards: journal pages, settled orders, newest fills."""

from __future__ import annotations

from decimal import Decimal

import pytest
from engine_rig import Rig, fill, report

from trading_system.domain.errors import JournalError
from trading_system.domain.orders import Fill, OrderIntent, OrderStatus, OrderType, Side
from trading_system.execution.journal import store
from trading_system.execution.journal.records import RowKind
from trading_system.execution.journal.store import IN_MEMORY, Journal
from trading_system.runtime.clock import ManualClock


def intent(link_id: str, price: str = "50000") -> OrderIntent:
    return OrderIntent(
        symbol="BTCUSDT",
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        quantity=Decimal("0.01"),
        price=Decimal(price),
        link_id=link_id,
    )


def written(count: int) -> Journal:
    journal = Journal.open(IN_MEMORY, clock=ManualClock())
    journal.begin_run("0badcafe")
    for number in range(count):
        journal.write_intent(intent(f"ts-{number}"))
    return journal


def numbers(journal: Journal, **asked: object) -> tuple[list[int], int | None]:
    page = journal.page(**asked)
    return [row.number for row in page.rows], page.next_before


def test_pages_go_from_the_newest_row_to_the_first_without_gap_or_repeat() -> None:
    journal = written(9)
    assert numbers(journal, limit=4) == ([10, 9, 8, 7], 7)
    assert numbers(journal, limit=4, before=7) == ([6, 5, 4, 3], 3)
    assert numbers(journal, limit=4, before=3) == ([2, 1], None)
    assert numbers(journal, limit=4, before=1) == ([], None)
    assert numbers(journal, limit=4, before=99) == ([10, 9, 8, 7], 7)
    assert numbers(journal, limit=4, before=-5) == ([], None)


def test_pages_are_of_one_kind_or_key_when_asked() -> None:
    journal = written(3)
    assert numbers(journal, kind=RowKind.RUN) == ([1], None)
    assert numbers(journal, key="ts-1") == ([3], None)
    assert numbers(journal, kind=RowKind.FILL, key="ts-1") == ([], None)
    (row,) = journal.page(key="ts-2").rows
    assert (row.kind, row.run_id, row.key) == (RowKind.INTENT, "0badcafe", "ts-2")


def test_a_page_looks_at_a_bounded_number_of_rows() -> None:
    journal = written(0)
    journal.write_intents([intent(f"ts-{number}") for number in range(10_004)])
    assert numbers(journal, kind=RowKind.RUN) == ([], 6)
    assert numbers(journal, kind=RowKind.RUN, before=6) == ([1], None)


def test_a_page_is_found_by_the_primary_key_and_not_by_a_scan_of_the_file() -> None:
    journal = written(3)
    plan = journal._connection.execute(
        f"EXPLAIN QUERY PLAN {store._PAGE}", (4, 1, None, None, 2)
    ).fetchall()
    (line,) = [row[3] for row in plan]
    assert line.startswith("SEARCH entries USING INTEGER PRIMARY KEY")


def test_a_closed_journal_says_that_it_cannot_be_read() -> None:
    journal = written(1)
    journal.close()
    with pytest.raises(JournalError, match="cannot be read"):
        journal.page()


async def traded(rig: Rig, *, price: str = "50000") -> Fill:
    order = intent(rig.engine.next_link_id(), price)
    await rig.engine.submit(order, timeout_s=1.0)
    done = fill(order, order.quantity, Decimal(price), number=rig.engine.fills + 1)
    rig.engine.on_fill(done)
    rig.engine.on_report(report(order, OrderStatus.FILLED, order.quantity))
    return done


async def test_settled_orders_and_fills_are_kept_with_their_times() -> None:
    rig = Rig(rate=100)
    first = await traded(rig)
    rig.clock.advance(2.0)
    second = await traded(rig, price="50001")
    ledger = rig.engine.ledger
    assert list(ledger.newest_fills) == [first, second]
    newest, older = ledger.newest_ended(5)
    assert newest.intent.link_id == second.link_id
    assert [order.intent.link_id for order in ledger.newest_ended(1)] == [second.link_id]
    assert newest.ended_utc_ns is not None
    assert older.ended_utc_ns is not None
    assert newest.ended_utc_ns - older.ended_utc_ns == 2_000_000_000


async def test_orders_at_work_are_found_by_symbol() -> None:
    rig = Rig(rate=100)
    order = intent(rig.engine.next_link_id(), "49990")
    await rig.engine.submit(order, timeout_s=1.0)
    assert [o.intent for o in rig.engine.ledger.live_of("BTCUSDT")] == [order]
    assert rig.engine.ledger.live_of("ETHUSDT") == ()
    assert rig.engine.gate.orders_left == 99
    assert rig.engine.gate.limits.max_open_orders == 50
