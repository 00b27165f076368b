"""OKX V5 public market data for the simulated venue: the same books and trades, in contracts."""
