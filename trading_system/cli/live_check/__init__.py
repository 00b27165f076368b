"""First use of a test host: what it answers, compared with what the embedded venue answers."""
