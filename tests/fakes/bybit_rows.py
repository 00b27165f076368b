"""Rows as Bybit documents them, with invented values."""

ORDER = {
    "orderId": "o-1",
    "orderLinkId": "lk-1",
    "symbol": "ABCUSDT",
    "side": "Buy",
    "orderStatus": "New",
    "qty": "5",
    "cumExecQty": "0",
    "updatedTime": "1700000000010",
    "price": "9.90",
    "avgPrice": "",
    "rejectReason": "EC_NoError",
    "cancelType": "UNKNOWN",
    "stopOrderType": "",
    "tpslMode": "",
}
STOP = ORDER | {
    "orderId": "o-9",
    "orderLinkId": "",
    "side": "Sell",
    "orderStatus": "Untriggered",
    "price": "0",
    "stopOrderType": "StopLoss",
    "createType": "CreateByStopLoss",
    "reduceOnly": True,
    "closeOnTrigger": True,
    "triggerPrice": "9.50",
}
POSITION = {
    "symbol": "ABCUSDT",
    "side": "Sell",
    "size": "3",
    "avgPrice": "10.02",
    "updatedTime": "1700000000010",
    "stopLoss": "10.50",
    "positionIdx": 0,
}
FLAT = POSITION | {"side": "", "size": "0", "avgPrice": "0", "stopLoss": ""}
EXECUTION = {
    "execId": "e-1",
    "orderId": "o-1",
    "orderLinkId": "lk-1",
    "symbol": "ABCUSDT",
    "side": "Buy",
    "execPrice": "9.90",
    "execQty": "2",
    "execFee": "0.011",
    "execTime": "1700000000011",
    "isMaker": False,
    "execType": "Trade",
}
WALLET = {
    "accountType": "UNIFIED",
    "totalEquity": "10000.5",
    "totalWalletBalance": "10000",
    "totalAvailableBalance": "9000",
}
