"""The journal: what was intended, what became of it, and what blocks trading, on disk."""
