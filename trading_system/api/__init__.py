"""Control API on loopback: status for everyone with the token, commands for the same."""
