"""Signal agents: each reads public market data and returns one typed opinion or abstains."""

__all__: list[str] = []
