"""Limits, the gate's decision, and the portfolio they are checked against."""
