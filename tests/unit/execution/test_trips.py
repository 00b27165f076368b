"""Closed trades against worked examples and a slow model that moves one lot at a time."""

from collections.abc import Sequence
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from trading_system.domain.orders import Fill, Side
from trading_system.execution.journal.trips import ClosedTrade, OwnedFill, closed_trades

ZERO = Decimal(0)


def fill(number: int, lots: int, price: int, *, fee: str = "0", symbol: str = "BTCUSDT") -> Fill:
    """Return the fill of ``lots`` (signed) at second ``number``."""
    return Fill(
        exec_id=f"e-{number}",
        order_id="o",
        link_id="l",
        symbol=symbol,
        side=Side.BUY if lots > 0 else Side.SELL,
        price=Decimal(price),
        quantity=Decimal(abs(lots)),
        fee=Decimal(fee),
        is_maker=False,
        ts_exchange_ns=number * 1_000_000_000,
    )


def owned(*fills: Fill, run_id: str = "r") -> list[OwnedFill]:
    return [OwnedFill(run_id=run_id, fill=one) for one in fills]


def test_a_long_trade_in_two_entries_and_two_exits_by_hand() -> None:
    (trade,) = closed_trades(
        owned(
            fill(1, 1, 100, fee="0.1"),
            fill(3, 1, 200, fee="0.2"),
            fill(4, -1, 160, fee="0.1"),
            fill(9, -1, 170, fee="0.2"),
        )
    )
    assert (trade.pnl, trade.fees, trade.sign) == (Decimal("29.4"), Decimal("0.6"), 1)
    assert (trade.pnl_bps, trade.gross_bps, trade.fees_bps) == (980.0, 1000.0, 20.0)
    assert trade.hold_s == 8.0


def test_a_fill_that_turns_the_position_ends_one_trade_and_begins_the_next() -> None:
    first, second = closed_trades(
        owned(fill(1, -1, 100), fill(2, 3, 90, fee="0.3"), fill(3, -2, 95, fee="0.1"))
    )
    assert (first.sign, first.pnl, first.fees) == (-1, Decimal("9.9"), Decimal("0.1"))
    assert (second.sign, second.pnl, second.opened_ns) == (1, Decimal("9.7"), 2_000_000_000)


def test_late_and_repeated_reports_change_nothing() -> None:
    fills = owned(fill(1, 1, 100), fill(2, -1, 110))
    assert closed_trades([fills[1], fills[0], fills[1]]) == closed_trades(fills)


def test_an_open_position_is_no_trade_and_symbols_are_apart() -> None:
    trades = closed_trades(
        owned(fill(1, 1, 100), fill(2, -1, 100, symbol="ETHUSDT"), fill(3, -1, 101))
    )
    assert [trade.symbol for trade in trades] == ["BTCUSDT"]


def test_a_trade_names_every_run_that_took_part() -> None:
    fills = owned(fill(1, 1, 100), run_id="x") + owned(fill(2, -1, 100), run_id="y")
    assert closed_trades(fills)[0].run_ids == {"x", "y"}


def slow(fills: Sequence[Fill]) -> list[tuple[Decimal, Decimal]]:
    """Return gross profit and fees of each trade, lot by lot: cash when the position is flat."""
    trades, position, cash, fees = [], 0, ZERO, ZERO
    for one in fills:
        for _ in range(int(one.quantity)):
            position += one.side.sign
            cash -= one.side.sign * one.price
            fees += one.fee / one.quantity
            if position == 0:
                trades.append((cash, fees))
                cash = fees = ZERO
    return trades


def close(trade: ClosedTrade, other: tuple[Decimal, Decimal]) -> bool:
    gross, fees = other
    return trade.pnl + trade.fees == gross and abs(trade.fees - fees) < Decimal("1e-20")


@given(
    steps=st.lists(
        st.tuples(
            st.integers(min_value=-5, max_value=5).filter(bool),
            st.integers(min_value=1, max_value=500),
            st.integers(min_value=-3, max_value=9),
        ),
        max_size=30,
    )
)
def test_trades_are_those_of_a_model_that_moves_single_lots(
    steps: list[tuple[int, int, int]],
) -> None:
    fills = [fill(n, lots, price, fee=str(fee)) for n, (lots, price, fee) in enumerate(steps)]
    trades, expected = closed_trades(owned(*fills)), slow(fills)
    assert len(trades) == len(expected)
    assert all(close(one, other) for one, other in zip(trades, expected, strict=True))
