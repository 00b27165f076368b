"""The embedded venue: a real exchange in small that speaks Bybit's V5 protocol."""
