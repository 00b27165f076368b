"""Benchmarks: what the product costs, measured on this machine, beside its bars."""
