"""Preflight: whether machine, configuration and key are fit to trade."""
