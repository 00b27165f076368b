"""Where a running system says how to reach its control API; light enough for every command."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from typing_extensions import override

from trading_system.domain.errors import ConfigurationError

API_FILE = "api.json"
READ_TOKEN_FILE = "read.token"  # noqa: S105 - the name of a file, not a secret


@dataclass(frozen=True, slots=True)
class ApiAddress:
    """Base address and tokens of a control API; the tokens never show in a text.

    Parameters
    ----------
    token : str
        Reads and commands.
    read_token : str
        Only reads; empty if the system that wrote the file knew none.
    """

    url: str
    token: str
    read_token: str = ""

    @override
    def __repr__(self) -> str:
        return f"ApiAddress(url={self.url!r})"


def read_address(data_dir: Path) -> ApiAddress | None:
    """Return the address that is announced in ``data_dir``, None if none is readable."""
    try:
        content = json.loads((data_dir / API_FILE).read_text())
        read_token = str(content.get("read_token", ""))
        return ApiAddress(str(content["url"]), str(content["token"]), read_token)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write_address(data_dir: Path, address: ApiAddress) -> Path:
    """Announce ``address`` in ``data_dir``, readable by the owner only; return the file.

    ``read.token`` beside it holds the read token alone, for programs that take a file of
    credentials (Prometheus). Both appear complete or not at all, the address last.

    Raises
    ------
    ConfigurationError
        If a file cannot be written.
    """
    content = {
        "url": address.url,
        "token": address.token,
        "read_token": address.read_token,
        "pid": os.getpid(),
    }
    _write_private(data_dir / READ_TOKEN_FILE, address.read_token)
    try:
        return _write_private(data_dir / API_FILE, json.dumps(content))
    except ConfigurationError:
        remove_address(data_dir)
        raise


def remove_address(data_dir: Path) -> None:
    """Take back what :func:`write_address` wrote; without effect when it is gone."""
    for name in (API_FILE, READ_TOKEN_FILE):
        with contextlib.suppress(OSError):
            (data_dir / name).unlink(missing_ok=True)


def _write_private(file: Path, text: str) -> Path:
    # Beside its place first: whoever looks meanwhile finds the former file or the whole new one.
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as opened:
            os.fchmod(descriptor, 0o600)
            opened.write(text)
        draft.replace(file)
    except OSError as e:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise ConfigurationError(
            f"cannot write {file}: {e.strerror}; free some space or set TRADING_DATA_DIR"
        ) from e
    return file
