"""Keeps the newest log lines, without secrets, for whoever looks at the running system."""

from __future__ import annotations

import json
import logging
import threading
import traceback
from collections import deque
from collections.abc import Mapping, MutableMapping
from typing import Any, Final

from typing_extensions import override

from trading_system.domain.ports import Clock
from trading_system.monitoring.redaction import REDACTOR, Redactor
from trading_system.runtime.clock import SystemClock

_EVENT_CHARS: Final = 500
_FIELDS_CHARS: Final = 2000
_CUT: Final = " ..."
_OWN = frozenset({"event", "level", "timestamp", "exc_info"})


class LogRing:
    """A processor of structlog that keeps the newest lines and passes them on unchanged.

    Parameters
    ----------
    capacity : int
        Lines kept; older ones are dropped.
    clock : Clock
        Time of the lines.
    redact : Redactor
        Takes secrets out before anything is kept.
    """

    def __init__(
        self, capacity: int = 1000, *, clock: Clock | None = None, redact: Redactor = REDACTOR
    ) -> None:
        self._lines: deque[dict[str, Any]] = deque(maxlen=capacity)
        self._clock = clock or SystemClock()
        self._redact = redact
        self._newest = 0
        self._lock = threading.Lock()

    def __call__(
        self, _logger: object, method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """Keep one line of structlog and return it unchanged."""
        fields = {name: value for name, value in event.items() if name not in _OWN}
        trace = _traceback(event.get("exc_info"))
        if trace:
            fields["traceback"] = trace
        self.keep(str(event.get("level", method)), str(event.get("event", "")), fields)
        return event

    def keep(self, level: str, event: str, fields: Mapping[str, Any]) -> None:
        """Keep one line; ``fields`` become JSON-safe and at most about 2 kB of JSON."""
        # Secrets go first: a cut through one would leave a half that nothing recognises.
        cleaned = self._redact.clean(dict(fields))
        assert isinstance(cleaned, dict)
        line = {
            "time_ms": self._clock.utc_ns() // 1_000_000,
            "level": level,
            "event": _cut(self._redact(event), _EVENT_CHARS),
            "fields": _bounded(cleaned),
        }
        with self._lock:
            self._newest += 1
            self._lines.append({"number": self._newest, **line})

    def lines(self, *, after: int = 0, limit: int = 200) -> dict[str, Any]:
        """Return up to ``limit`` lines with a number above ``after``, oldest first.

        Parameters
        ----------
        after : int
            Number of the last line already seen. 0, or a number of an earlier run that is not
            reached yet, starts with the newest ``limit`` lines.
        limit : int
            At least 1.

        Returns
        -------
        dict
            ``lines`` and ``next_after``, what to ask with next time.
        """
        with self._lock:
            kept, newest = list(self._lines), self._newest
        if 0 < after <= newest:
            found = [line for line in kept if line["number"] > after][:limit]
        else:
            found = kept[-limit:]
            after = 0
        return {"lines": found, "next_after": found[-1]["number"] if found else after}


class RingHandler(logging.Handler):
    """Keeps lines of standard logging in a ring."""

    def __init__(self, ring: LogRing) -> None:
        super().__init__()
        self._ring = ring

    @override
    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record."""
        try:
            fields: dict[str, Any] = {"logger": record.name}
            trace = _traceback(record.exc_info)
            if trace:
                fields["traceback"] = trace
            self._ring.keep(record.levelname.lower(), record.getMessage(), fields)
        except Exception:  # logging's own way with records that cannot be formatted
            self.handleError(record)


def _traceback(exc_info: object) -> str:
    """Return the traceback that structlog's or logging's ``exc_info`` stands for."""
    if isinstance(exc_info, tuple) and len(exc_info) == 3:
        exc_info = exc_info[1]
    if isinstance(exc_info, BaseException):
        return "".join(traceback.format_exception(exc_info))
    if not exc_info:
        return ""
    text = traceback.format_exc()
    return "" if text.startswith("NoneType: None") else text


def _cut(text: str, chars: int) -> str:
    return text if len(text) <= chars else text[: max(0, chars - len(_CUT))] + _CUT


def _bounded(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that fit, in their order; one that does not becomes cut text."""
    kept: dict[str, Any] = {}
    room = _FIELDS_CHARS
    for name, value in fields.items():
        key = _cut(name, 100)
        text = json.dumps(value, allow_nan=False)
        room -= len(key) + 6
        if room <= 0:
            break
        if len(text) > room:
            # Escapes make JSON longer than the text; six characters is the longest escape.
            plain = value if isinstance(value, str) else text
            kept[key] = _cut(plain, room if plain.isascii() and plain.isprintable() else room // 6)
            break
        kept[key] = value
        room -= len(text)
    return kept


LOG: Final = LogRing()
"""The newest lines of this process; one ring, because the log is one."""
