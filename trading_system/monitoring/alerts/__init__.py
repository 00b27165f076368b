"""Alerts: what is wrong, since when, who was told, and what to do about it."""
