"""What spot rows have in other ways than contracts': keys, fee coins, market units."""

from __future__ import annotations

from trading_system.domain.instruments import plain
from trading_system.domain.orders import OrderType, Side
from trading_system.simulation.bybit_server.envelope import Row
from trading_system.simulation.bybit_server.texts import GridText
from trading_system.simulation.records import (
    CoinView,
    ExecutionRecord,
    LedgerEntry,
    OrderRecord,
)

# Clients take a row with one of these keys for a contract's.
_CONTRACT_ONLY = ("createType", "tpslMode")


def as_spot_order(row: Row, order: OrderRecord, texts: GridText) -> Row:
    """Return a contract's order row made into that of a spot order."""
    for name in _CONTRACT_ONLY:
        del row[name]
    fee = plain(order.cum_fee)
    row |= {
        "isLeverage": "0",
        "positionIdx": 0,
        "cumExecFee": fee,
        "cumFeeDetail": {fee_coin(order.side, texts): fee} if order.cum_lots else {},
        "basePrice": row["lastPriceOnCreated"],
    }
    if order.order_type is OrderType.MARKET:
        row["marketUnit"] = "baseCoin" if order.quote_amount is None else "quoteCoin"
    if order.quote_amount is not None:
        row["qty"] = plain(order.quote_amount)
    return row


def as_spot_order_push(row: Row, order: OrderRecord, texts: GridText) -> Row:
    """Return a contract's ``order`` push row made into that of a spot order."""
    row |= {
        "category": "spot",
        "closedPnl": "0",
        "feeCurrency": fee_coin(order.side, texts) if order.cum_lots else "",
    }
    return row


def as_spot_execution(row: Row, execution: ExecutionRecord, texts: GridText) -> Row:
    """Return a contract's execution row made into that of a spot fill."""
    del row["createType"]
    row["feeCurrency"] = fee_coin(execution.side, texts)
    row["closedSize"] = ""
    row["markPrice"] = ""
    return row


def as_spot_ledger(row: Row, entry: LedgerEntry) -> Row:
    """Return a contract's transaction row made into one of the two rows of a spot fill."""
    row |= {"category": "spot", "currency": entry.coin, "size": "0"}
    return row


def fee_coin(side: Side, texts: GridText) -> str:
    """Return the coin a spot trade's fee is taken in: what the trade brings."""
    instrument = texts.instrument
    return instrument.base_coin if side is Side.BUY else instrument.quote_coin


def spot_coin_row(coin: CoinView, empty: Row) -> Row:
    """Return the wallet's row of a base coin; ``empty`` is the row of a coin not held."""
    balance = plain(coin.balance)
    return {
        **empty,
        "equity": balance,
        "usdValue": plain(coin.balance * coin.price),
        "walletBalance": balance,
        "locked": plain(coin.locked),
    }
