"""Fill the kernel cache once: ``python -m trading_system.market.warm`` (silent)."""

from __future__ import annotations

from trading_system.market import flow_kernels, kernels


def warm() -> None:
    """Compile every kernel of the hot path, or load it from the cache."""
    kernels.warm()
    flow_kernels.warm()


def main() -> None:
    """Compile the market kernels into the cache."""
    warm()


if __name__ == "__main__":
    main()
