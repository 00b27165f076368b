"""Frozen settings: one model per component, and the root that collects them from all sources."""
