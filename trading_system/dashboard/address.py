"""Files in the data directory by which processes of one system find each other."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from typing_extensions import override

from trading_system.domain.errors import ConfigurationError

DASHBOARD_FILE: Final = "dashboard.json"
_API_FILE: Final = "api.json"
_READ_TOKEN_FILE: Final = "read.token"  # noqa: S105 - the name of a file


@dataclass(frozen=True, slots=True)
class ReadAddress:
    """Base address of the control API and the token that may only read; it shows in no text."""

    url: str
    token: str

    @override
    def __repr__(self) -> str:
        return f"ReadAddress(url={self.url!r})"


def read_address(data_dir: Path) -> ReadAddress | None:
    """Return where the API is, None if no running system announces one.

    The control token beside it is not looked at: people type it.
    """
    try:
        content = json.loads((data_dir / _API_FILE).read_text())
        url = str(content["url"])
        token = content.get("read_token") or (data_dir / _READ_TOKEN_FILE).read_text().strip()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return ReadAddress(url, str(token))


@contextlib.contextmanager
def announced(data_dir: Path, *, url: str, link_token: str) -> Iterator[Path]:
    """Announce the dashboard for the length of the context, readable by the owner only.

    Raises
    ------
    ConfigurationError
        If the file cannot be written.
    """
    file = data_dir / DASHBOARD_FILE
    content = {"url": url, "link_token": link_token, "pid": os.getpid()}
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as opened:
            os.fchmod(descriptor, 0o600)
            opened.write(json.dumps(content))
    except OSError as e:
        raise ConfigurationError(
            f"cannot write {file}: {e.strerror}; free some space or set TRADING_DATA_DIR"
        ) from e
    try:
        yield file
    finally:
        file.unlink(missing_ok=True)
