"""Fill the kernel cache once: ``python -m trading_system.market.warm`` (silent)."""

from __future__ import annotations

from trading_system.market.kernels import warm


def main() -> None:
    """Compile the market kernels into the cache."""
    warm()


if __name__ == "__main__":
    main()
