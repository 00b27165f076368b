"""Which part of a position found at the start the journal shows to be this system's."""

from __future__ import annotations

from decimal import Decimal

import pytest

from trading_system.domain.orders import Fill, Side
from trading_system.live.adoption import own_part

OWN, FOREIGN = "ts-0badcafe-1", "by-hand"


def traded(
    link_id: str, quantity: Decimal, *, side: Side = Side.BUY, symbol: str = "BTCUSDT"
) -> Fill:
    return Fill(
        exec_id="e",
        order_id="o",
        link_id=link_id,
        symbol=symbol,
        side=side,
        price=Decimal(50_000),
        quantity=quantity,
        fee=Decimal(0),
        is_maker=False,
        ts_exchange_ns=0,
    )


def trades(*rows: tuple[str, str]) -> list[Fill]:
    """Return fills of (link id, signed quantity) in BTCUSDT with one of another symbol between."""
    found = [
        traded(
            link_id,
            abs(Decimal(quantity)),
            side=Side.SELL if "-" in quantity else Side.BUY,
        )
        for link_id, quantity in rows
    ]
    return [*found, traded(OWN, Decimal(9), symbol="ETHUSDT")]


@pytest.mark.parametrize(
    ("rows", "position", "own"),
    [
        ([(OWN, "0.2")], "0.2", "0.2"),
        ([(OWN, "0.5"), (OWN, "-0.5"), (OWN, "-0.1")], "-0.1", "-0.1"),
        ([(OWN, "0.2"), (FOREIGN, "0.3")], "0.5", "0.2"),
        ([(FOREIGN, "0.3"), (OWN, "-0.1")], "0.2", "0"),
        ([(OWN, "0.3"), (FOREIGN, "-0.2")], "0.1", "0.1"),
        # Own trades ended flat; what is open now was sold by hand.
        ([(OWN, "0.3"), (OWN, "-0.3"), (FOREIGN, "-0.3")], "-0.3", "0"),
        # Somebody traded unseen: the fills do not add up.
        ([(OWN, "0.2")], "0.5", "0"),
        ([(OWN, "0.2")], "0", "0"),
        ([], "0.5", "0"),
    ],
)
def test_the_own_part_of_a_position_is_replayed_from_all_fills(
    rows: list[tuple[str, str]], position: str, own: str
) -> None:
    assert own_part(trades(*rows), "BTCUSDT", Decimal(position)) == Decimal(own)
