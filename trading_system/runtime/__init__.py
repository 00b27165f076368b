"""What every layer runs on: clocks, cache, limiter, channels, back-off, supervision."""
