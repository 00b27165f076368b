"""Price-time matching on integer ticks and lots: pure, deterministic, without money or clocks."""
