"""The ``trading-system`` command."""
