"""Control API on loopback: one token reads, another also commands; a live stream beside them."""
