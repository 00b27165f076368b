"""What one order book says about cost, liquidity and timing; pure apart from the book source."""
