from dataclasses import replace
from decimal import Decimal

from trading_system.domain.orders import Fill, Side
from trading_system.live.fast_fills import FastFills

PRICE, QUANTITY = Decimal(10), Decimal(2)
FILL = Fill(
    exec_id="e1",
    order_id="o1",
    link_id="x",
    symbol="ABCUSDT",
    side=Side.BUY,
    price=PRICE,
    quantity=QUANTITY,
    fee=Decimal("0.01"),
    is_maker=False,
    ts_exchange_ns=0,
)
S = 1_000_000_000


def test_both_streams_tell_one_execution() -> None:
    fast = FastFills()
    fast.on_fast("e1", PRICE, QUANTITY, now_ns=0)
    assert fast.merged(FILL) is FILL
    fast.on_fast("e1", PRICE, QUANTITY, now_ns=1)
    assert (fast.first, fast.conflicts, fast.overdue_ns(9 * S)) == (1, 0, None)


def test_the_first_word_on_price_and_quantity_stands_and_the_conflict_is_counted() -> None:
    fast = FastFills()
    fast.on_fast("e1", PRICE, QUANTITY, now_ns=0)
    fast.on_fast("e1", PRICE + 1, QUANTITY, now_ns=0)
    merged = fast.merged(replace(FILL, price=Decimal(11), fee=Decimal(3)))
    assert (merged.price, merged.quantity, merged.fee) == (PRICE, QUANTITY, Decimal(3))
    fast.on_fast("e1", PRICE, QUANTITY + 1, now_ns=0)
    assert (fast.first, fast.conflicts) == (1, 3)


def test_a_fast_execution_whose_full_row_does_not_follow_is_overdue_after_a_second() -> None:
    fast = FastFills()
    assert fast.overdue_ns(0) is None
    fast.on_fast("e1", PRICE, QUANTITY, now_ns=0)
    assert fast.overdue_ns(S) is None
    assert fast.overdue_ns(S + 1) == S + 1


def test_an_execution_that_a_minute_of_queries_does_not_find_is_given_up() -> None:
    fast = FastFills()
    fast.on_fast("e1", PRICE, QUANTITY, now_ns=0)
    fast.asked_in_vain(59 * S)
    assert fast.overdue_ns(60 * S) == 60 * S
    fast.asked_in_vain(60 * S)
    assert fast.overdue_ns(60 * S) is None


def test_what_is_remembered_is_bounded() -> None:
    fast = FastFills()
    for number in range(1_200):
        fast.on_fast(f"a{number}", PRICE, QUANTITY, now_ns=number)
        fast.merged(replace(FILL, exec_id=f"b{number}"))
    fast.on_fast("b0", PRICE + 1, QUANTITY, now_ns=0)  # forgotten, so it is news
    assert (fast.first, fast.conflicts) == (1_201, 0)
    assert len(fast._waiting) == len(fast._told) == 1_000
