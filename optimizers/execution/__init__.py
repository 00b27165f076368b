"""Planning one order, judging it afterwards, and what is remembered between orders."""
