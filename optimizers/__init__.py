"""Execution, latency and signal optimizers."""

__all__: list[str] = []
