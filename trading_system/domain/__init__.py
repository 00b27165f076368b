"""Values and rules of trading: standard library only, no input or output."""
