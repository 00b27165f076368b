"""What a trade will cost: book walk, impact, schedule, slippage quantiles, maker share, fees."""
