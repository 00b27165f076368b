"""What the system measures of itself and how it judges it."""
