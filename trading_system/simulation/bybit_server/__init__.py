"""Bybit V5 over REST and WebSocket for the simulated venue: category linear, loopback."""
