"""The answer envelope of Bybit V5 and its headers."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from trading_system.simulation.bybit_server.limits import Admission

Row = dict[str, object]
"""A JSON object on its way out; business numbers are strings in it."""

_ENCODER = msgspec.json.Encoder()


def encode(value: object) -> bytes:
    """Return compact JSON."""
    return _ENCODER.encode(value)


def answer(
    result: Mapping[str, object],
    *,
    now_ms: int,
    code: int = 0,
    message: str = "OK",
    extra: Mapping[str, object] | None = None,
) -> bytes:
    """Return the body of a REST answer."""
    return _ENCODER.encode(
        {
            "retCode": code,
            "retMsg": message,
            "result": result,
            "retExtInfo": extra or {},
            "time": now_ms,
        }
    )


def limit_headers(admission: Admission, *, now_ms: int, trace: str) -> dict[str, str]:
    """Return the quota headers that every answer carries, values as text."""
    return {
        "X-Bapi-Limit": str(admission.limit),
        "X-Bapi-Limit-Status": str(admission.remaining),
        "X-Bapi-Limit-Reset-Timestamp": str(admission.reset_ms),
        "Traceid": trace,
        "Timenow": str(now_ms),
    }
