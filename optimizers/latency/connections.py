"""What a pool says about its connections and its queue, as plain figures."""

from __future__ import annotations

from typing import Any

from optimizers.transport.pool import PooledTransport

_COUNTS = (
    "opened",
    "lookups",
    "rewarms",
    "verifications",
    "replacements",
    "coalesced_cancels",
    "most_waiting",
    "most_cancels_waiting",
)


def connection_figures(transport: PooledTransport | None) -> dict[str, Any]:
    """Return connections kept and open, and how often they were looked after; 0 before any.

    ``silent_for_s`` is above 0 while the venue refuses this address and nothing is sent.
    """
    counts = transport.counts if transport else {}
    return {
        "configured": transport.connections if transport else None,
        "open": transport.open_connections if transport else 0,
        "silent_for_s": transport.silent_for_s if transport else 0.0,
        **{name: counts.get(name, 0) for name in _COUNTS},
    }


def queue_status(transport: PooledTransport | None) -> dict[str, Any]:
    """Return the documented figures of the queue, and how many requests it refused."""
    return {
        "queue_size": transport.waiting if transport else 0,
        "processor_active": transport.is_open if transport else False,
        "active_sessions": transport.open_connections if transport else 0,
        "refused": transport.counts["refused"] if transport else 0,
    }
