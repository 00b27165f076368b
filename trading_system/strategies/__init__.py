"""From opinions to target positions."""
