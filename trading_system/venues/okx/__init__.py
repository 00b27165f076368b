"""OKX V5 public market data: books, trades, tickers, instruments."""
