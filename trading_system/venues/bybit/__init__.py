"""Bybit V5: signed REST, public and private streams, and the mapping to domain values."""
