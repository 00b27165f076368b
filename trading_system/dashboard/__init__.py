"""The dashboard: a web page in a process of its own that reads the control API only."""
