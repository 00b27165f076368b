"""No single flipped byte of a journal row goes unseen."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from trading_system.domain.orders import OrderIntent, OrderType, Side
from trading_system.execution.journal.records import Settlement
from trading_system.execution.journal.store import IN_MEMORY, Journal
from trading_system.execution.transitions import TrackedStatus
from trading_system.runtime.clock import ManualClock

ROWS = 12


def written() -> Journal:
    journal = Journal.open(IN_MEMORY, clock=ManualClock())
    journal.begin_run("0badcafe")
    for number in range(1, ROWS):
        link_id = f"ts-0badcafe-{number // 2 + 1}"
        if number % 2:
            journal.write_intent(
                OrderIntent(
                    symbol="BTCUSDT",
                    side=Side.BUY,
                    order_type=OrderType.LIMIT,
                    quantity=Decimal("0.1"),
                    price=Decimal(50_000 + number),
                    link_id=link_id,
                )
            )
        else:
            end = Settlement(
                status=TrackedStatus.CANCELLED, booked_quantity=Decimal(0), reason="test"
            )
            journal.note_settled(link_id, end)
    return journal


@given(
    number=st.integers(min_value=1, max_value=ROWS),
    place=st.integers(min_value=0),
    mask=st.integers(min_value=1, max_value=255),
    column=st.sampled_from(["payload", "digest"]),
)
def test_a_flipped_byte_is_found_in_its_row(
    number: int, place: int, mask: int, column: str
) -> None:
    journal = written()
    connection = journal._connection
    (blob,) = connection.execute(
        f"SELECT {column} FROM entries WHERE number = ?", (number,)
    ).fetchone()
    changed = bytearray(blob)
    changed[place % len(blob)] ^= mask
    assert journal.verify() is None
    connection.execute(
        f"UPDATE entries SET {column} = ? WHERE number = ?", (bytes(changed), number)
    )
    assert journal.verify() == number
    journal.close()


@given(number=st.integers(min_value=1, max_value=ROWS - 1))
def test_a_row_that_is_gone_is_found_at_its_place(number: int) -> None:
    journal = written()
    journal._connection.execute("DELETE FROM entries WHERE number = ?", (number,))
    assert journal.verify() == number
    journal.close()
