"""A market maker with a rule of its own: it quotes only while the market is calm.

Run it with ``python examples/calm_quotes.py``: without keys and internet, on the embedded venue.
Every quote passes the risk gate of the client; at the end all are cancelled. What was filled
stays, without a stop: only ``start --strategy market-maker`` rests one behind its inventory.
"""

import asyncio

from agents import MarketMaker
from trading_system import BybitClient
from trading_system.config.sections import MarketMakerSettings

SYMBOL = "ETHUSDT"
CALM_BPS = 20.0
SETTINGS = MarketMakerSettings(tiers=1)


async def quote_if_calm(maker: MarketMaker) -> bool:
    """Bring the quotes to where they belong, or pull them; return whether the market is calm."""
    moves_bps = await maker.volatility.get_volatility(SYMBOL) * 10_000  # of one second
    is_calm = moves_bps <= CALM_BPS
    if is_calm:
        maker.resume()
    else:
        maker.pause(f"{moves_bps:.1f} bps in a second")
    await maker.cycle()
    return is_calm


async def main(cycles: int = 5) -> None:
    """Quote for some cycles, say what happened, leave no order behind."""
    async with BybitClient() as client:
        maker = MarketMaker(client, symbols=(SYMBOL,), settings=SETTINGS)
        for _ in range(cycles):
            is_calm = await quote_if_calm(maker)
            quotes = maker.collect_performance_stats()["quotes"]
            print(f"{'calm' if is_calm else 'wild'}: {quotes['resting']} quotes in the book")
            await asyncio.sleep(1.0)
        print(f"All quotes cancelled: {await maker.wind_down()}")


if __name__ == "__main__":
    asyncio.run(main())
