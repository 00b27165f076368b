"""Frames and replies of Bybit's documentation, with invented values, byte for byte."""

INSTRUMENT = (
    '{"symbol":"ABCUSDT","symbolId":9001,"contractType":"LinearPerpetual","status":"Trading",'
    '"baseCoin":"ABC","quoteCoin":"USDT","settleCoin":"USDT","launchTime":"1700000000000","de'
    'liveryTime":"0","deliveryFeeRate":"","priceScale":"2","leverageFilter":{"minLeverage":"1'
    '","maxLeverage":"50.00","leverageStep":"0.01"},"priceFilter":{"minPrice":"0.01","maxPric'
    'e":"199999.98","tickSize":"0.01"},"lotSizeFilter":{"maxOrderQty":"5000.0","minOrderQty":'
    '"0.1","qtyStep":"0.1","postOnlyMaxOrderQty":"5000.0","maxMktOrderQty":"1000.0","minNotio'
    'nalValue":"5"},"unifiedMarginTrade":true,"fundingInterval":480,"copyTrading":"none","upp'
    'erFundingRate":"0.005","lowerFundingRate":"-0.005","isPreListing":false,"preListingInfo"'
    ':null,"riskParameters":{"priceLimitRatioX":"0.05","priceLimitRatioY":"0.1"},"displayName'
    '":"","forbidUplWithdrawal":false,"symbolType":""}'
)
BOOK_DELTA = (
    '{"topic":"orderbook.50.ABCUSDT","type":"delta","ts":1700000000105,"data":{"s":"ABCUSDT",'
    '"b":[["10.01","0"],["10.00","7.5"]],"a":[["10.03","2.0"]],"u":4412,"seq":990012},"cts":1'
    "700000000103}"
)
ORDER_PUSH = (
    '{"id":"m-1","topic":"order","creationTime":1700000000012,"data":[{"category":"linear","s'
    'ymbol":"ABCUSDT","orderId":"5f0c1a7e-0000-4000-8000-000000000001","orderLinkId":"lk-1","'
    'parentOrderLinkId":"","blockTradeId":"","side":"Buy","positionIdx":0,"orderStatus":"New"'
    ',"orderType":"Limit","timeInForce":"PostOnly","price":"9.90","qty":"5","avgPrice":"","le'
    'avesQty":"5","leavesValue":"49.5","cumExecQty":"0","cumExecValue":"0","cumExecFee":"0","'
    'cumFeeDetail":{},"closedPnl":"0","feeCurrency":"","createType":"CreateByUser","cancelTyp'
    'e":"UNKNOWN","rejectReason":"EC_NoError","stopOrderType":"","triggerPrice":"","triggerDi'
    'rection":0,"triggerBy":"","takeProfit":"","stopLoss":"","tpslMode":"","tpTriggerBy":"","'
    'slTriggerBy":"","tpLimitPrice":"","slLimitPrice":"","ocoTriggerBy":"","lastPriceOnCreate'
    'd":"10.01","reduceOnly":false,"closeOnTrigger":false,"isLeverage":"","marketUnit":"","or'
    'derIv":"","placeType":"","smpType":"None","smpGroup":0,"smpOrderId":"","slippageToleranc'
    'eType":"UNKNOWN","slippageTolerance":"","rpiTakerAccess":false,"rpiMatchedQty":"0","crea'
    'tedTime":"1700000000010","updatedTime":"1700000000010"}]}'
)
EXECUTION_PUSH = (
    '{"id":"m-7","topic":"execution","creationTime":1700000001005,"data":[{"category":"linear'
    '","symbol":"ABCUSDT","orderId":"5f0c1a7e-0000-4000-8000-000000000002","orderLinkId":"lk-'
    '2","side":"Buy","orderType":"Market","orderPrice":"10.52","orderQty":"3","leavesQty":"1"'
    ',"createType":"CreateByUser","stopOrderType":"UNKNOWN","execId":"e-1","execPrice":"10.02'
    '","execQty":"2","execValue":"20.04","execType":"Trade","execFee":"0.011022","feeRate":"0'
    '.00055","feeCurrency":"USDT","execPnl":"0","execTime":"1700000001004","isMaker":false,"i'
    'sLeverage":"0","marketUnit":"","closedSize":"0","markPrice":"10.01","indexPrice":"","und'
    'erlyingPrice":"","tradeIv":"","markIv":"","blockTradeId":"","extraFees":"","seq":990021}'
    ',{"category":"linear","symbol":"ABCUSDT","orderId":"5f0c1a7e-0000-4000-8000-000000000002'
    '","orderLinkId":"lk-2","side":"Buy","orderType":"Market","orderPrice":"10.52","orderQty"'
    ':"3","leavesQty":"0","createType":"CreateByUser","stopOrderType":"UNKNOWN","execId":"e-2'
    '","execPrice":"10.03","execQty":"1","execValue":"10.03","execType":"Trade","execFee":"0.'
    '0055165","feeRate":"0.00055","feeCurrency":"USDT","execPnl":"0","execTime":"170000000100'
    '4","isMaker":false,"isLeverage":"0","marketUnit":"","closedSize":"0","markPrice":"10.01"'
    ',"indexPrice":"","underlyingPrice":"","tradeIv":"","markIv":"","blockTradeId":"","extraF'
    'ees":"","seq":990021}]}'
)
POSITION_PUSH = (
    '{"id":"m-9","topic":"position","creationTime":1700000001005,"data":[{"category":"linear"'
    ',"symbol":"ABCUSDT","positionIdx":0,"side":"Buy","size":"3","entryPrice":"10.02333333","'
    'positionValue":"30.07","markPrice":"10.01","leverage":"10","tradeMode":0,"riskId":1,"ris'
    'kLimitValue":"200000","autoAddMargin":0,"positionIM":"3.0195165","positionIMByMp":"3.019'
    '5165","positionMM":"0.3168165","positionMMByMp":"0.3168165","positionBalance":"3.0195165'
    '","liqPrice":"","bustPrice":"","breakEvenPrice":"10.03436507","takeProfit":"","stopLoss"'
    ':"","trailingStop":"","tpslMode":"Full","sessionAvgPrice":"","unrealisedPnl":"-0.04","cu'
    'rRealisedPnl":"-0.0165385","cumRealisedPnl":"-0.0165385","positionStatus":"Normal","adlR'
    'ankIndicator":0,"isReduceOnly":false,"mmrSysUpdatedTime":"","leverageSysUpdatedTime":"",'
    '"openTime":1700000001004,"createdTime":"1700000000000","updatedTime":"1700000001005","se'
    'q":990021}]}'
)
WALLET_PUSH = (
    '{"id":"m-10","topic":"wallet","creationTime":1700000001005,"data":[{"accountType":"UNIFI'
    'ED","accountIMRate":"0.0003","accountIMRateByMp":"0.0003","accountMMRate":"0","accountMM'
    'RateByMp":"0","accountLTV":"0","totalEquity":"9999.9434615","totalWalletBalance":"9999.9'
    '834615","totalMarginBalance":"9999.9434615","totalAvailableBalance":"9996.923945","total'
    'PerpUPL":"-0.04","totalInitialMargin":"3.0195165","totalInitialMarginByMp":"3.0195165","'
    'totalMaintenanceMargin":"0.3168165","totalMaintenanceMarginByMp":"0.3168165","coin":[{"c'
    'oin":"USDT","equity":"9999.9434615","usdValue":"9999.9434615","walletBalance":"9999.9834'
    '615","locked":"0","spotHedgingQty":"0","borrowAmount":"0","spotBorrow":"0","accruedInter'
    'est":"0","totalOrderIM":"0","totalPositionIM":"3.0195165","totalPositionMM":"0.3168165",'
    '"unrealisedPnl":"-0.04","cumRealisedPnl":"-0.0165385","bonus":"0","availableToWithdraw":'
    '"","availableToBorrow":"","marginCollateral":true,"collateralSwitch":true}]}]}'
)
CREATE_REPLY = (
    '{"retCode":0,"retMsg":"OK","result":{"orderId":"5f0c1a7e-0000-4000-8000-000000000001","o'
    'rderLinkId":"lk-1"},"retExtInfo":{},"time":1700000000011}'
)
CREATE_ACK = (
    '{"reqId":"r-42","retCode":0,"retMsg":"OK","op":"order.create","data":{"orderId":"0f1e...'
    '","orderLinkId":"x-1"},"retExtInfo":{},"header":{"X-Bapi-Limit":"10","X-Bapi-Limit-Statu'
    's":"9","X-Bapi-Limit-Reset-Timestamp":"1700000000004","Traceid":"ab12","Timenow":"170000'
    '0000005"},"connId":"c1"}'
)
AUTH_ACK = '{"reqId":"a1","retCode":0,"retMsg":"OK","op":"auth","connId":"c9"}'
PUBLIC_CONTROLS = (
    '{"success":true,"ret_msg":"pong","conn_id":"c1","req_id":"7","op":"ping"}',
    '{"success":true,"ret_msg":"subscribe","conn_id":"c1","req_id":"8","op":"subscribe"}',
    '{"success":true,"ret_msg":"","conn_id":"c1","req_id":"9","op":"unsubscribe"}',
)
PRIVATE_CONTROLS = (
    '{"req_id":"7","op":"pong","args":["1700000000123"],"conn_id":"c1"}',
    '{"success":true,"ret_msg":"","op":"subscribe","conn_id":"c1","req_id":"8"}',
    '{"success":true,"ret_msg":"","conn_id":"c1","req_id":"9","op":"unsubscribe"}',
)
TRADE_CONTROLS = (
    '{"retCode":0,"retMsg":"OK","op":"pong","data":["1700000003000"],"connId":"c9"}',
    '{"retCode":0,"retMsg":"OK","op":"pong","data":["1700000000123"],"connId":"c1"}',
)
