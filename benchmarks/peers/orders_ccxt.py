"""The same orders by ccxt's asyncio client; its markets come from the embedded venue."""

from __future__ import annotations

import asyncio
import sys

import ccxt.async_support
import protocol


async def main(url: str, venue: str, key: str, secret: str) -> None:
    client = ccxt.async_support.bybit(
        {
            "apiKey": key,
            "secret": secret,
            "enableRateLimit": False,
            "options": {"defaultType": "swap", "fetchMarkets": {"types": ["linear"]}},
        }
    )
    names = list(client.urls["api"])
    client.urls["api"] = dict.fromkeys(names, venue)
    client.has["fetchCurrencies"] = False

    async def order() -> None:
        await client.create_order("BTC/USDT:USDT", "limit", "buy", 0.001, 60000.0)

    try:
        await client.load_markets()
        await order()
        client.urls["api"] = dict.fromkeys(names, url)
        await order()
        protocol.ready("ccxt")
        for question in protocol.questions():
            protocol.say({"us": await protocol.timed_async(order, question["count"])})
    finally:
        await client.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
