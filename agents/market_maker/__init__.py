"""Quotes on both sides: where they belong, what has to change, and the loop that keeps them."""
