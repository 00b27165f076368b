from decimal import Decimal

from trading_system.domain.orders import OrderType, Side, TimeInForce
from trading_system.simulation.accounts import histories
from trading_system.simulation.accounts.histories import LinkIds, OrderArchive
from trading_system.simulation.records import OrderRecord


def order(number):
    return OrderRecord(
        order_id=str(number),
        link_id="",
        account_id=1,
        symbol="X",
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        price_ticks=1,
        lots=1,
        leaves_lots=0,
        created_ms=0,
        updated_ms=0,
        cum_fee=Decimal(0),
    )


def test_archive_forgets_the_oldest_order():
    archive = OrderArchive()
    for number in range(histories.HISTORY_LIMIT + 1):
        archive.add(order(number))
    assert archive.get("0") is None
    assert archive.get("1").order_id == "1"
    assert len(archive.oldest_first()) == histories.HISTORY_LIMIT
    assert archive.oldest_first()[0].order_id == "1"


def test_link_ids_are_remembered_up_to_their_limit():
    links = LinkIds()
    for number in range(histories.LINK_ID_LIMIT + 1):
        links.add(f"l{number}", f"o{number}")
    assert "l0" not in links
    assert links.order_id("l0") == ""
    assert links.order_id("l1") == "o1"
