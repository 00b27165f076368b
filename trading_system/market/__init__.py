"""Market data: decoding of public frames and the order book built from them."""
