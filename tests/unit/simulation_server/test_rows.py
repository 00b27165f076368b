"""Every key of the protocol reference (7.1-7.4, 5.1, 5.2, 9.2), with its JSON type."""

from decimal import Decimal

from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import OrderType, Side, TimeInForce
from trading_system.simulation.bybit_server import account_rows, market_rows, order_rows
from trading_system.simulation.bybit_server.texts import GridText
from trading_system.simulation.records import (
    AccountSpec,
    ExecutionRecord,
    OrderRecord,
    OrderState,
    PositionView,
    PublicTrade,
    WalletView,
)
from trading_system.simulation.statistics import TickerView

INSTRUMENT = Instrument(
    symbol="ABCUSDT",
    base_coin="ABC",
    quote_coin="USDT",
    tick_size=Decimal("0.01"),
    qty_step=Decimal("0.1"),
    min_price=Decimal("0.01"),
    max_price=Decimal("199999.98"),
    min_qty=Decimal("0.1"),
    max_qty=Decimal(5000),
    max_market_qty=Decimal(1000),
    min_notional=Decimal(5),
    max_leverage=Decimal(50),
)
TEXTS = GridText(INSTRUMENT)

ORDER_TEXTS = [
    "orderId",
    "orderLinkId",
    "parentOrderLinkId",
    "blockTradeId",
    "symbol",
    "price",
    "qty",
    "side",
    "isLeverage",
    "orderStatus",
    "createType",
    "cancelType",
    "rejectReason",
    "avgPrice",
    "leavesQty",
    "leavesValue",
    "cumExecQty",
    "cumExecValue",
    "cumExecFee",
    "timeInForce",
    "orderType",
    "stopOrderType",
    "orderIv",
    "marketUnit",
    "triggerPrice",
    "takeProfit",
    "stopLoss",
    "tpslMode",
    "ocoTriggerBy",
    "tpLimitPrice",
    "slLimitPrice",
    "tpTriggerBy",
    "slTriggerBy",
    "triggerBy",
    "lastPriceOnCreated",
    "placeType",
    "smpType",
    "smpOrderId",
    "slippageToleranceType",
    "slippageTolerance",
    "createdTime",
    "updatedTime",
    "extraFees",
    "rpiMatchedQty",
]
ORDER_OTHERS = {
    "positionIdx": int,
    "triggerDirection": int,
    "smpGroup": int,
    "reduceOnly": bool,
    "closeOnTrigger": bool,
    "rpiTakerAccess": bool,
    "cumFeeDetail": dict,
}
EXECUTION_TEXTS = [
    "symbol",
    "orderId",
    "orderLinkId",
    "side",
    "orderPrice",
    "orderQty",
    "leavesQty",
    "createType",
    "orderType",
    "stopOrderType",
    "execFee",
    "execId",
    "execPrice",
    "execQty",
    "execType",
    "execValue",
    "execTime",
    "feeCurrency",
    "feeRate",
    "tradeIv",
    "markIv",
    "markPrice",
    "indexPrice",
    "underlyingPrice",
    "blockTradeId",
    "closedSize",
    "extraFees",
]
POSITION_TEXTS = [
    "symbol",
    "side",
    "size",
    "positionValue",
    "positionStatus",
    "leverage",
    "breakEvenPrice",
    "markPrice",
    "liqPrice",
    "bustPrice",
    "positionIM",
    "positionIMByMp",
    "positionMM",
    "positionMMByMp",
    "positionBalance",
    "takeProfit",
    "stopLoss",
    "trailingStop",
    "tpslMode",
    "sessionAvgPrice",
    "unrealisedPnl",
    "curRealisedPnl",
    "cumRealisedPnl",
    "riskLimitValue",
    "createdTime",
    "updatedTime",
    "mmrSysUpdatedTime",
    "leverageSysUpdatedTime",
]
POSITION_OTHERS = {
    "positionIdx": int,
    "riskId": int,
    "tradeMode": int,
    "autoAddMargin": int,
    "adlRankIndicator": int,
    "seq": int,
    "openTime": int,
    "isReduceOnly": bool,
}
ACCOUNT_TEXTS = [
    "accountType",
    "accountIMRate",
    "accountMMRate",
    "totalEquity",
    "totalWalletBalance",
    "totalMarginBalance",
    "totalAvailableBalance",
    "totalPerpUPL",
    "totalInitialMargin",
    "totalMaintenanceMargin",
    "accountIMRateByMp",
    "accountMMRateByMp",
    "totalInitialMarginByMp",
    "totalMaintenanceMarginByMp",
    "accountLTV",
]
COIN_TEXTS = [
    "coin",
    "equity",
    "usdValue",
    "walletBalance",
    "locked",
    "spotHedgingQty",
    "borrowAmount",
    "accruedInterest",
    "totalOrderIM",
    "totalPositionIM",
    "totalPositionMM",
    "unrealisedPnl",
    "cumRealisedPnl",
    "bonus",
    "spotBorrow",
    "availableToWithdraw",
    "availableToBorrow",
]
TICKER_STREAM = [
    "symbol",
    "tickDirection",
    "price24hPcnt",
    "lastPrice",
    "prevPrice24h",
    "highPrice24h",
    "lowPrice24h",
    "prevPrice1h",
    "markPrice",
    "indexPrice",
    "openInterest",
    "openInterestValue",
    "singleOpenInterest",
    "singleOpenInterestValue",
    "turnover24h",
    "volume24h",
    "fundingIntervalHour",
    "fundingCap",
    "nextFundingTime",
    "fundingRate",
    "bid1Price",
    "bid1Size",
    "ask1Price",
    "ask1Size",
    "preOpenPrice",
    "preQty",
    "curPreListingPhase",
]
TICKER_REST = [
    "symbol",
    "lastPrice",
    "indexPrice",
    "markPrice",
    "prevPrice24h",
    "price24hPcnt",
    "highPrice24h",
    "lowPrice24h",
    "prevPrice1h",
    "openInterest",
    "openInterestValue",
    "turnover24h",
    "volume24h",
    "fundingRate",
    "nextFundingTime",
    "predictedDeliveryPrice",
    "basisRate",
    "basis",
    "deliveryFeeRate",
    "deliveryTime",
    "ask1Price",
    "ask1Size",
    "bid1Price",
    "bid1Size",
]


def order(**changes):
    values = {
        "order_id": "o",
        "link_id": "",
        "account_id": 1,
        "symbol": "ABCUSDT",
        "side": Side.BUY,
        "order_type": OrderType.LIMIT,
        "time_in_force": TimeInForce.POST_ONLY,
        "price_ticks": 990,
        "lots": 50,
        "leaves_lots": 50,
        "created_ms": 1,
        "updated_ms": 2,
        "last_price_on_created": Decimal("10.01"),
    }
    return OrderRecord(**(values | changes))


def execution(**changes):
    values = {
        "exec_id": "e",
        "order_id": "o",
        "link_id": "lk",
        "account_id": 1,
        "symbol": "ABCUSDT",
        "side": Side.BUY,
        "order_type": OrderType.MARKET,
        "order_price_ticks": 1052,
        "order_lots": 30,
        "leaves_lots": 10,
        "price": Decimal("10.02"),
        "lots": 20,
        "value": Decimal("20.040"),
        "fee": Decimal("0.011022"),
        "fee_rate": Decimal("0.00055"),
        "realised": Decimal(0),
        "closed_lots": 0,
        "is_maker": False,
        "mark_price": Decimal("10.01"),
        "exec_type": "Trade",
        "time_ms": 3,
        "sequence": 9,
    }
    return ExecutionRecord(**(values | changes))


def position(lots):
    return PositionView(
        account_id=1,
        symbol="ABCUSDT",
        lots=lots,
        entry_price=Decimal("10.0233333333333"),
        position_value=Decimal("30.07"),
        mark_price=Decimal("10.01"),
        leverage=Decimal(10),
        unrealised=Decimal("-0.04"),
        session_realised=Decimal("-0.0165385"),
        cumulative_realised=Decimal("-0.0165385"),
        initial_margin=Decimal("3.0195165"),
        maintenance_margin=Decimal("0.3168165"),
        break_even_price=None,
        created_ms=0,
        updated_ms=1,
        opened_ms=2,
        sequence=5,
    )


def wallet():
    return WalletView(
        account_id=1,
        coin="USDT",
        start_balance=Decimal(10_000),
        wallet_balance=Decimal("9999.9834615"),
        realised=Decimal(0),
        fees=Decimal("0.0165385"),
        funding=Decimal(0),
        unrealised=Decimal("-0.04"),
        equity=Decimal("9999.9434615"),
        order_margin=Decimal(0),
        position_margin=Decimal("3.0195165"),
        maintenance_margin=Decimal("0.3168165"),
        available=Decimal("9996.923945"),
    )


def ticker():
    ten = Decimal(10)
    return TickerView(
        symbol="ABCUSDT",
        last_price=Decimal(11),
        mark_price=ten,
        index_price=ten,
        prev_price_24h=ten,
        high_24h=Decimal(12),
        low_24h=ten,
        prev_price_1h=ten,
        volume_24h=ten,
        turnover_24h=Decimal(100),
        open_interest=Decimal(7),
        funding_rate=Decimal("0.0001"),
        next_funding_ms=5,
        bid_price=None,
        bid_qty=Decimal(0),
        ask_price=ten,
        ask_qty=ten,
        tick_direction="PlusTick",
    )


def check(row, texts, others=(), extra=()):
    assert set(row) == {*texts, *others, *extra}
    assert [name for name in texts if not isinstance(row[name], str)] == []
    assert [name for name in others if type(row[name]) is not others[name]] == []


def test_order_rows_carry_every_key_and_mark_a_contract():
    check(order_rows.order_row(order(), TEXTS), ORDER_TEXTS, ORDER_OTHERS)
    stream = order_rows.stream_order_row(order(), TEXTS)
    check(stream, ORDER_TEXTS, ORDER_OTHERS, ("category", "closedPnl", "feeCurrency"))
    assert (stream["avgPrice"], stream["leavesValue"], stream["price"]) == ("", "49.5", "9.90")
    assert stream["cumFeeDetail"] == {}


def test_final_order_leaves_nothing_and_shows_its_fee():
    row = order_rows.stream_order_row(
        order(
            state=OrderState.FILLED,
            cum_lots=30,
            leaves_lots=0,
            cum_value=Decimal("30.07"),
            cum_fee=Decimal("0.0165385"),
        ),
        TEXTS,
    )
    assert (row["leavesQty"], row["leavesValue"], row["avgPrice"]) == ("0", "0", "10.02333333")
    assert row["cumFeeDetail"] == {"USDT": "0.0165385"}


def test_execution_rows_carry_every_key():
    others = {"isMaker": bool, "seq": int}
    row = order_rows.execution_row(execution(), TEXTS)
    check(row, EXECUTION_TEXTS, others)
    assert (row["execPrice"], row["execQty"], row["leavesQty"]) == ("10.02", "2.0", "1.0")
    stream = order_rows.stream_execution_row(execution(), TEXTS)
    check(stream, EXECUTION_TEXTS, others, ("category", "isLeverage", "marketUnit", "execPnl"))


def test_fast_rows_hide_the_link_id_of_maker_fills():
    taker = order_rows.fast_execution_row(execution(), TEXTS)
    maker = order_rows.fast_execution_row(execution(is_maker=True), TEXTS)
    assert (taker["orderLinkId"], maker["orderLinkId"]) == ("lk", "")


def test_position_rows_carry_every_key_and_the_stream_says_entry_price():
    row = account_rows.position_row(position(30), TEXTS)
    check(row, POSITION_TEXTS, POSITION_OTHERS, ("avgPrice",))
    stream = account_rows.stream_position_row(position(-30), TEXTS)
    check(stream, POSITION_TEXTS, POSITION_OTHERS, ("entryPrice", "category"))
    assert (stream["side"], stream["size"], stream["entryPrice"]) == ("Sell", "3.0", "10.02333333")


def test_flat_position_keeps_its_leverage():
    row = account_rows.position_row(position(0), TEXTS)
    shown = [row[name] for name in ("side", "size", "avgPrice", "positionValue", "leverage")]
    assert shown == ["", "0", "0", "0", "10"]


def test_wallet_row_carries_every_key_and_leaves_the_free_balance_to_the_client():
    coin = account_rows.coin_row(wallet())
    check(coin, COIN_TEXTS, {"marginCollateral": bool, "collateralSwitch": bool})
    row = account_rows.wallet_row(wallet(), coins=[coin])
    check(row, ACCOUNT_TEXTS, {"coin": list})
    assert (row["accountIMRate"], row["accountMMRate"]) == ("0.0003", "0")
    assert (coin["availableToWithdraw"], coin["cumRealisedPnl"]) == ("", "-0.0165385")


def test_ticker_rows_carry_every_key_and_the_contract_mark():
    stream = market_rows.stream_ticker(ticker(), TEXTS)
    check(stream, TICKER_STREAM)
    assert (stream["price24hPcnt"], stream["bid1Price"]) == ("0.1", "")
    rest = market_rows.rest_ticker(ticker(), TEXTS)
    assert set(TICKER_REST) <= set(rest)
    assert all(isinstance(value, str) for value in rest.values())
    assert "tickDirection" not in rest


def test_instrument_rows_keep_linear_and_spot_apart():
    linear = market_rows.linear_instrument_row(INSTRUMENT, number=1)
    spot = market_rows.spot_instrument_row(INSTRUMENT, number=1)
    assert type(linear["fundingInterval"]) is int
    assert linear["preListingInfo"] is None
    assert linear["priceFilter"] == {
        "minPrice": "0.01",
        "maxPrice": "199999.98",
        "tickSize": "0.01",
    }
    assert not {"settleCoin", "contractType", "fundingInterval"} & set(spot)
    assert "qtyStep" not in spot["lotSizeFilter"]
    assert {"innovation", "marginTrading", "stTag"} <= set(spot)


def test_trade_rows_spell_numbers_as_documented():
    trade = PublicTrade(
        trade_id="t",
        symbol="ABCUSDT",
        price_ticks=1002,
        lots=20,
        taker_side=Side.SELL,
        time_ms=8,
        sequence=4,
        tick_direction="PlusTick",
    )
    stream = market_rows.stream_trade_row(trade, TEXTS)
    assert stream == {
        "T": 8,
        "s": "ABCUSDT",
        "S": "Sell",
        "v": "2.0",
        "p": "10.02",
        "L": "PlusTick",
        "i": "t",
        "BT": False,
        "RPI": False,
        "seq": 4,
    }
    assert market_rows.recent_trade_row(trade, TEXTS)["seq"] == "4"


def test_key_info_says_unified_and_read_only():
    info = account_rows.key_info(
        AccountSpec(account_id=1, uid=5, api_key="k", api_secret="s", read_only=True)
    )
    assert (info["uta"], info["readOnly"], info["secret"]) == (1, 1, "")
    assert account_rows.account_info(updated_ms=1)["unifiedMarginStatus"] == 6
