"""One trading process per data directory."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from trading_system.domain.errors import ConfigurationError

_LOCK_FILE = "lock"


@contextlib.contextmanager
def exclusive(data_dir: Path) -> Iterator[None]:
    """Hold the data directory's lock, so that no second system trades the same account.

    Raises
    ------
    ConfigurationError
        If another process holds it, or the directory cannot be written.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(data_dir / _LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as e:
        raise ConfigurationError(
            f"cannot write to the data directory {data_dir}: {e.strerror}; set TRADING_DATA_DIR"
        ) from e
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            raise ConfigurationError(
                f"another system runs in {data_dir}; stop it with `trading-system stop` "
                "or set TRADING_DATA_DIR to another directory"
            ) from e
        yield
    finally:
        os.close(descriptor)
