"""Where the faults are tested that are none of a connection, or that no wire can bring about."""

from __future__ import annotations

ELSEWHERE: dict[str, tuple[str, str]] = {}
