"""The replay market: raw Binance recordings played into the real exchange."""
