"""The synthetic market: seeded participants who act through the real exchange."""
