"""Warm connections to a venue behind a strict priority queue."""
