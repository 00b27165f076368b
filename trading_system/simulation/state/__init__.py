"""The venue's state on disk: what it has acknowledged survives its process."""
