"""The name under which pricing still finds the realised volatility."""

from trading_system.market.volatility import MIN_RETURNS, RealisedVolatility

__all__ = ["MIN_RETURNS", "RealisedVolatility"]
