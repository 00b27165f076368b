"""One module per page of the dashboard; each has ``build(context)``."""
