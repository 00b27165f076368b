"""From an intent to a known outcome: the gated engine and the parent orders on top of it."""
