"""One measured figure as a row: JSON for machines, a table line for people."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure; ``peer*`` and ``ratio`` are None where no peer was measured in the same run."""

    id: str
    value: float
    unit: str
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    samples: int
    peer: str | None = None
    peer_version: str | None = None
    peer_value: float | None = None
    ratio: float | None = None
    bar: str
    met: bool
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)
