"""Clients of real venues."""
