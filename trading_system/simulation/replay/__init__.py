"""The replay market: recordings of Binance, Bybit, OKX and our own, played into the exchange."""
