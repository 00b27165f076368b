"""Everything that was sent and received, without secrets, as lines of JSON."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from trading_system.domain.ports import Clock
from trading_system.monitoring.redaction import MASK, REDACTOR

_NS_PER_MS: Final = 1_000_000
_MOST_LINES: Final = 200_000
# Whose account and machine it is concerns nobody who is shown a transcript.
_PERSONAL: Final = frozenset(
    {
        "affiliateid",
        "affiliateidint64",
        "apikey",
        "inviterid",
        "inviteridint64",
        "ips",
        "kyclevel",
        "kycregion",
        "note",
        "parentuid",
        "rsapublickey",
        "secret",
        "sign",
        "uid",
        "userid",
        "useridint64",
        "x-bapi-api-key",
        "x-bapi-sign",
    }
)


class Transcript:
    """Writes ``transcript.jsonl`` while its ``with`` block runs.

    Parameters
    ----------
    folder : Path
        Made if it is not there; only its owner may read the file.
    """

    def __init__(self, folder: Path, *, clock: Clock) -> None:
        self.path = folder / "transcript.jsonl"
        self.lines = 0
        self._clock = clock

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.touch(mode=0o600)
        self._file = self.path.open("w", encoding="utf-8")
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def write(self, channel: str, kind: str, content: dict[str, Any]) -> None:
        """Add one line; ``kind`` says what it is, such as ``request`` or ``frame``.

        Lines beyond 200,000 are counted and left out.
        """
        self.lines += 1
        if self.lines > _MOST_LINES:
            return
        at_ms = self._clock.utc_ns() // _NS_PER_MS
        row = {"at_ms": at_ms, "channel": channel, "kind": kind, **_without_secrets(content)}
        self._file.write(REDACTOR(json.dumps(row)) + "\n")


def _without_secrets(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        if value.get("op") == "auth" and "args" in value:
            return {**value, "args": [MASK]}
        return {
            key: MASK if key.lower() in _PERSONAL and inner else _without_secrets(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_without_secrets(item) for item in value]
    return value
