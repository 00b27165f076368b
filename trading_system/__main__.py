"""``python -m trading_system`` is the ``trading-system`` command."""

from trading_system.cli.main import main

if __name__ == "__main__":
    main()
