"""Accounts of the embedded venue: positions, margin, fees, wallets and their histories."""
