"""Where is this trade cheapest now? Live books of two exchanges, several sizes, no order.

Run it with ``python examples/cost_comparison.py``: without keys and internet, on the embedded
venue, which serves both protocols from one market.
"""

import asyncio

from trading_system import CostSimulator

MARKETS = (("bybit", "BTCUSDT"), ("okx", "BTC-USDT-SWAP"))
SIZES_USD = (1_000, 50_000, 1_000_000)


def net_costs_bps(simulator: CostSimulator, usd: float) -> dict[str, float]:
    """Return the net cost of buying for ``usd`` at the market, basis points, by exchange."""
    costs = {}
    for exchange, instrument in MARKETS:
        answer = simulator.estimate(
            exchange=exchange,
            instrument=instrument,
            side="buy",
            quantity=usd,
            unit="usd",
            volatility_bps=1.5,  # of the mid over one second; left out, it is measured
        )
        costs[exchange] = answer["net_cost_bps"]
    return costs


async def main() -> None:
    """Print one line for each size."""
    exchange, instrument = MARKETS[0]
    async with CostSimulator(
        exchange=exchange, instrument=instrument, markets=MARKETS[1:]
    ) as simulator:
        for usd in SIZES_USD:
            costs = net_costs_bps(simulator, usd)
            figures = ", ".join(f"{name} {bps:.2f} bps" for name, bps in costs.items())
            print(f"buy for {usd:,} USD: {figures}; cheapest: {min(costs, key=costs.__getitem__)}")


if __name__ == "__main__":
    asyncio.run(main())
