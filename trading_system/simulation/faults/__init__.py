"""Deterministic faults: one list of names, a schedule, an engine that decides, a control port."""
