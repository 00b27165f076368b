"""Rows of orders, executions, closed profits and the ledger (linear), with every key they have."""

from __future__ import annotations

from trading_system.domain.instruments import Category, plain
from trading_system.simulation.bybit_server import spot_rows
from trading_system.simulation.bybit_server.envelope import Row
from trading_system.simulation.bybit_server.texts import (
    ORDER_TYPES,
    SIDES,
    TIMES_IN_FORCE,
    GridText,
    average_text,
    rounded,
)
from trading_system.simulation.conditions import StopKind
from trading_system.simulation.records import (
    ClosedPnlRecord,
    ExecutionRecord,
    LedgerEntry,
    OrderRecord,
)

COIN = "USDT"

# Keys with one value for every plain linear order; ``tpslMode`` marks the row as a contract's.
_ORDER_CONSTANTS: Row = {
    "parentOrderLinkId": "",
    "blockTradeId": "",
    "isLeverage": "",
    "stopOrderType": "",
    "orderIv": "",
    "marketUnit": "",
    "triggerPrice": "",
    "takeProfit": "",
    "stopLoss": "",
    "tpslMode": "",
    "ocoTriggerBy": "",
    "tpLimitPrice": "",
    "slLimitPrice": "",
    "tpTriggerBy": "",
    "slTriggerBy": "",
    "triggerBy": "",
    "placeType": "",
    "slippageToleranceType": "UNKNOWN",
    "slippageTolerance": "",
    "extraFees": "",
    "rpiMatchedQty": "0",
    "triggerDirection": 0,
    "smpGroup": 0,
    "rpiTakerAccess": False,
}

_EXECUTION_CONSTANTS: Row = {
    "feeCurrency": COIN,
    "tradeIv": "",
    "markIv": "",
    "indexPrice": "",
    "underlyingPrice": "",
    "blockTradeId": "",
    "extraFees": "",
}


_CREATE_TYPES = {
    StopKind.STOP_LOSS: "CreateByStopLoss",
    StopKind.TAKE_PROFIT: "CreateByTakeProfit",
    StopKind.TRAILING_STOP: "CreateByTrailingStop",
    StopKind.PARTIAL_STOP_LOSS: "CreateByPartialStopLoss",
    StopKind.PARTIAL_TAKE_PROFIT: "CreateByPartialTakeProfit",
    StopKind.STOP: "CreateByStopOrder",
    StopKind.TPSL: "CreateByStopOrder",
}


def _trigger_fields(order: OrderRecord, texts: GridText) -> Row:
    # What tells an order with a condition from a plain one; nothing for the latter.
    trigger = order.trigger
    if trigger is None:
        return {}
    row: Row = {
        "createType": _CREATE_TYPES[trigger.kind],
        "stopOrderType": trigger.kind.value,
        "triggerPrice": texts.price(trigger.price_ticks),
        "triggerDirection": 1 if trigger.on_rise else 2,
        "triggerBy": trigger.by.value,
        "parentOrderLinkId": trigger.parent_link_id,
    }
    if trigger.kind.is_whole or trigger.kind.is_partial:
        row["tpslMode"] = order.scope.value
        row["tpTriggerBy" if trigger.kind.takes_profit else "slTriggerBy"] = trigger.by.value
    if not order.price_ticks:
        row["price"] = "0"
    return row


def _guard_fields(order: OrderRecord, texts: GridText) -> Row:
    # The take profit and stop loss an order brings to its position.
    row: Row = {}
    for prefix, name, guard in (
        ("tp", "takeProfit", order.take_profit),
        ("sl", "stopLoss", order.stop_loss),
    ):
        if guard is None:
            continue
        row["tpslMode"] = order.scope.value
        row[name] = texts.price(guard.price_ticks)
        row[f"{prefix}TriggerBy"] = guard.by.value
        if guard.limit_ticks:
            row[f"{prefix}LimitPrice"] = texts.price(guard.limit_ticks)
    return row


def _slippage_fields(order: OrderRecord) -> Row:
    slippage = order.slippage
    if slippage is None:
        return {}
    return {
        "slippageToleranceType": slippage.unit.value,
        "slippageTolerance": plain(slippage.value),
    }


def order_row(order: OrderRecord, texts: GridText) -> Row:
    """Return the REST row of an order as it stands now."""
    instrument = texts.instrument
    value = instrument.ticks_to_price(order.price_ticks) * instrument.lots_to_qty(order.leaves_lots)
    last = order.last_price_on_created
    row: Row = {
        **_ORDER_CONSTANTS,
        "orderId": order.order_id,
        "orderLinkId": order.link_id,
        "symbol": texts.instrument.symbol,
        "side": SIDES[order.side],
        "positionIdx": order.position_idx,
        "createType": order.created_by,
        "orderType": ORDER_TYPES[order.order_type],
        "timeInForce": TIMES_IN_FORCE[order.time_in_force],
        "price": texts.price(order.price_ticks),
        "qty": texts.amount(order.lots),
        "orderStatus": order.state.value,
        "cancelType": order.cancel_type,
        "rejectReason": order.reject_reason,
        "avgPrice": average_text(order.cum_value, instrument.lots_to_qty(order.cum_lots))
        if order.cum_lots
        else "",
        "leavesQty": "0" if order.state.is_final else texts.amount(order.leaves_lots),
        "leavesValue": "0" if order.state.is_final else plain(value),
        "cumExecQty": texts.amount(order.cum_lots),
        "cumExecValue": plain(order.cum_value),
        "cumExecFee": plain(order.cum_fee),
        "cumFeeDetail": {COIN: plain(order.cum_fee)} if order.cum_lots else {},
        "reduceOnly": order.reduce_only,
        "closeOnTrigger": order.close_on_trigger,
        "lastPriceOnCreated": "" if last is None else texts.near(last),
        "smpType": order.self_match.value,
        "smpOrderId": order.smp_order_id,
        "createdTime": str(order.created_ms),
        "updatedTime": str(order.updated_ms),
        **_trigger_fields(order, texts),
        **_guard_fields(order, texts),
        **_slippage_fields(order),
    }
    return spot_rows.as_spot_order(row, order, texts) if _is_spot(texts) else row


def stream_order_row(order: OrderRecord, texts: GridText) -> Row:
    """Return the row of the ``order`` topic."""
    row = order_row(order, texts)
    row["category"] = "linear"
    row["closedPnl"] = plain(order.closed_pnl)
    row["feeCurrency"] = COIN if order.cum_lots else ""
    return spot_rows.as_spot_order_push(row, order, texts) if _is_spot(texts) else row


def execution_row(execution: ExecutionRecord, texts: GridText) -> Row:
    """Return the REST row of an execution."""
    is_trade = execution.exec_type != "Funding"
    kind = execution.stop_kind
    row: Row = {
        **_EXECUTION_CONSTANTS,
        "createType": execution.created_by if kind is None else _CREATE_TYPES[kind],
        "stopOrderType": "UNKNOWN" if kind is None else kind.value,
        "symbol": texts.instrument.symbol,
        "orderId": execution.order_id,
        "orderLinkId": execution.link_id,
        "side": SIDES[execution.side],
        "orderPrice": texts.price(execution.order_price_ticks),
        "orderQty": texts.amount(execution.order_lots),
        "leavesQty": texts.amount(execution.leaves_lots),
        "orderType": ORDER_TYPES[execution.order_type] if is_trade else "UNKNOWN",
        "execFee": plain(execution.fee),
        "execId": execution.exec_id,
        "execPrice": texts.near(execution.price),
        "execQty": texts.amount(execution.lots),
        "execType": execution.exec_type,
        "execValue": plain(execution.value),
        "execTime": str(execution.time_ms),
        "feeRate": plain(execution.fee_rate),
        "markPrice": texts.near(execution.mark_price),
        "closedSize": texts.amount(execution.closed_lots),
        "isMaker": execution.is_maker,
        "seq": execution.sequence,
    }
    return spot_rows.as_spot_execution(row, execution, texts) if _is_spot(texts) else row


def stream_execution_row(execution: ExecutionRecord, texts: GridText) -> Row:
    """Return the row of the ``execution`` topic."""
    row = execution_row(execution, texts)
    row["category"] = texts.instrument.category.value
    row["isLeverage"] = "0"
    row["marketUnit"] = ""
    row["execPnl"] = plain(execution.realised)
    return row


def fast_execution_row(execution: ExecutionRecord, texts: GridText) -> Row:
    """Return the short row of the ``execution.fast`` topic."""
    return {
        "category": texts.instrument.category.value,
        "symbol": texts.instrument.symbol,
        "orderId": execution.order_id,
        "isMaker": execution.is_maker,
        "orderLinkId": "" if execution.is_maker else execution.link_id,
        "execId": execution.exec_id,
        "execPrice": texts.near(execution.price),
        "execQty": texts.amount(execution.lots),
        "side": SIDES[execution.side],
        "execTime": str(execution.time_ms),
        "seq": execution.sequence,
    }


def closed_pnl_row(record: ClosedPnlRecord, texts: GridText) -> Row:
    """Return the row of ``position/closed-pnl``; all values are text."""
    instrument = texts.instrument
    closed = instrument.lots_to_qty(record.closed_lots)
    return {
        "symbol": texts.instrument.symbol,
        "orderId": record.order_id,
        "side": SIDES[record.side],
        "qty": texts.amount(record.order_lots),
        "orderPrice": texts.price(record.order_price_ticks),
        "orderType": ORDER_TYPES[record.order_type],
        "execType": record.exec_type,
        "closedSize": texts.amount(record.closed_lots),
        "cumEntryValue": plain(record.entry_value),
        "avgEntryPrice": average_text(record.entry_value, closed) if closed else "0",
        "cumExitValue": plain(record.exit_value),
        "avgExitPrice": average_text(record.exit_value, closed) if closed else "0",
        "closedPnl": plain(record.closed_pnl),
        "fillCount": str(record.fill_count),
        "leverage": plain(record.leverage),
        "openFee": plain(record.open_fee),
        "closeFee": plain(record.close_fee),
        "createdTime": str(record.created_ms),
        "updatedTime": str(record.updated_ms),
    }


def ledger_row(entry: LedgerEntry, texts: GridText) -> Row:
    """Return the row of ``account/transaction-log``; all values are text."""
    size = texts.amount(abs(entry.position_lots_after))
    row: Row = {
        "id": entry.entry_id,
        "symbol": texts.instrument.symbol,
        "category": "linear",
        "side": "None" if entry.side is None else SIDES[entry.side],
        "transactionTime": str(entry.time_ms),
        "type": entry.entry_type,
        "transSubType": "",
        "qty": texts.amount(entry.lots),
        "size": f"-{size}" if entry.position_lots_after < 0 else size,
        "currency": COIN,
        "tradePrice": texts.near(entry.price),
        "funding": plain(entry.funding) if entry.entry_type == "SETTLEMENT" else "",
        "fee": plain(entry.fee),
        "cashFlow": plain(entry.cash_flow),
        "change": plain(entry.change),
        "cashBalance": plain(entry.balance_after),
        "feeRate": rounded(entry.fee_rate),
        "bonusChange": "",
        "tradeId": entry.trade_id,
        "orderId": entry.order_id,
        "orderLinkId": entry.link_id,
        "extraFees": "",
    }
    return spot_rows.as_spot_ledger(row, entry) if _is_spot(texts) else row


def _is_spot(texts: GridText) -> bool:
    return texts.instrument.category is Category.SPOT
