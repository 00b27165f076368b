"""Public frames and instrument rows of a Bybit host, for captures and live markets."""

import json
from itertools import count

ENGINE_MS = count(1)

ROW = {
    "symbol": "ABCUSDT",
    "baseCoin": "ABC",
    "quoteCoin": "USDT",
    "priceFilter": {"minPrice": "0.01", "maxPrice": "1999.98", "tickSize": "0.01"},
    "lotSizeFilter": {
        "maxOrderQty": "5000.0",
        "minOrderQty": "0.1",
        "qtyStep": "0.1",
        "maxMktOrderQty": "1000.0",
        "minNotionalValue": "5",
    },
    "leverageFilter": {"maxLeverage": "50.00"},
    "fundingInterval": 480,
}
SPOT_ROW = {
    "symbol": "ABCUSDT",
    "baseCoin": "ABC",
    "quoteCoin": "USDT",
    "priceFilter": {"tickSize": "0.01"},
    "lotSizeFilter": {
        "basePrecision": "0.001",
        "minOrderQty": "0.01",
        "minOrderAmt": "5",
        "maxLimitOrderQty": "900",
        "maxMarketOrderQty": "450",
    },
}


def book(update, *, bids=(), asks=(), kind="delta", depth=50, symbol="ABCUSDT"):
    data = {"s": symbol, "b": list(bids), "a": list(asks), "u": update, "seq": update}
    return json.dumps(
        {
            "topic": f"orderbook.{depth}.{symbol}",
            "type": kind,
            "ts": 1,
            "cts": next(ENGINE_MS),
            "data": data,
        }
    )


def snapshot(update, **given):
    bids = given.pop("bids", [("10.00", "5.0"), ("9.99", "7.0")])
    asks = given.pop("asks", [("10.02", "4.0")])
    return book(update, bids=bids, asks=asks, kind="snapshot", **given)


def trade(price, quantity, side="Sell", **more):
    row = {
        "T": next(ENGINE_MS),
        "s": "ABCUSDT",
        "S": side,
        "v": quantity,
        "p": price,
        "i": "x",
        "seq": 1,
        **more,
    }
    return json.dumps({"topic": "publicTrade.ABCUSDT", "type": "snapshot", "ts": 1, "data": [row]})


def ticker(**data):
    body = {"topic": "tickers.ABCUSDT", "type": "delta", "ts": 1}
    return json.dumps({**body, "data": {"symbol": "ABCUSDT", **data}})
