"""The live market: books that follow the public stream of a Bybit host."""
