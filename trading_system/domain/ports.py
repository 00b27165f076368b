"""What siblings need of each other; the roof connects them."""

from __future__ import annotations

from typing import Any, Protocol

from trading_system.domain.orders import OrderAck, OrderIntent


class Clock(Protocol):
    """Time as a parameter."""

    def monotonic_ns(self) -> int:
        """Return nanoseconds that never go backwards, for durations."""
        ...

    def utc_ns(self) -> int:
        """Return UTC nanoseconds since the epoch, for display and the wire."""
        ...


class OrderGateway(Protocol):
    """Something that sends orders: the raw venue client, or the risk gate in front of it."""

    async def submit(self, intent: OrderIntent, *, timeout_s: float) -> OrderAck:
        """Send ``intent``.

        Raises
        ------
        OrderDenied
            If the gate refused; nothing was sent.
        VenueError
            See ``outcome`` for what is known.
        """
        ...

    async def cancel(self, symbol: str, link_id: str, *, timeout_s: float) -> None:
        """Ask for the cancellation of one order; its fate arrives on the private stream."""
        ...

    async def cancel_all(self, symbol: str, *, timeout_s: float) -> None:
        """Ask for the cancellation of every order of ``symbol``."""
        ...


class StatusSource(Protocol):
    """Something that can say how the system is doing."""

    def get_system_status(self) -> dict[str, Any]:
        """Return the full status, JSON-safe, every documented key present."""
        ...


class Control(Protocol):
    """Commands of the control API."""

    def request_stop(self, reason: str) -> None:
        """Ask for an ordered stop; returns at once, the first reason is kept."""
        ...
