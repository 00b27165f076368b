"""Where a running system says how to reach its control API; light enough for every command."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from typing_extensions import override

from trading_system.domain.errors import ConfigurationError

API_FILE = "api.json"


@dataclass(frozen=True, slots=True)
class ApiAddress:
    """Base address and token of a control API; the token never shows in a text."""

    url: str
    token: str

    @override
    def __repr__(self) -> str:
        return f"ApiAddress(url={self.url!r})"


def read_address(data_dir: Path) -> ApiAddress | None:
    """Return the address that is announced in ``data_dir``, None if none is readable."""
    try:
        content = json.loads((data_dir / API_FILE).read_text())
        return ApiAddress(str(content["url"]), str(content["token"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_address(data_dir: Path, address: ApiAddress) -> Path:
    """Announce ``address`` in ``data_dir``, readable by the owner only; return the file.

    Raises
    ------
    ConfigurationError
        If the file cannot be written.
    """
    file = data_dir / API_FILE
    content = {"url": address.url, "token": address.token, "pid": os.getpid()}
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as opened:
            os.fchmod(descriptor, 0o600)
            opened.write(json.dumps(content))
    except OSError as e:
        raise ConfigurationError(
            f"cannot write {file}: {e.strerror}; free some space or set TRADING_DATA_DIR"
        ) from e
    return file
