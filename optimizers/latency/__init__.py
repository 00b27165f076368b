"""Pure parts of the latency optimizer: what may be sent, figures, grades."""
