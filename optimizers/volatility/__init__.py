"""How much prices move: candles, Wilder's ATR, realised and range-based variance."""
