"""Bounds on open connections: how many, and how long one may stay silent."""

from __future__ import annotations

from aiohttp.web_protocol import RequestHandler

from trading_system.simulation.bybit_server.options import ServerOptions


class ConnectionGuard:
    """Drops connections that never finish a first request, and those beyond the bound.

    The HTTP library itself bounds the pauses between later requests; times here are seconds of
    any clock that does not run backwards.
    """

    def __init__(self, options: ServerOptions) -> None:
        self._options = options
        self._silent: dict[RequestHandler, float] = {}
        self._served: set[RequestHandler] = set()

    def note_request(self, connection: RequestHandler) -> bool:
        """Remember that a connection has sent a request; return whether there is room for it."""
        if connection in self._served:
            return True
        if len(self._served) >= self._options.max_connections:
            # Closed ones have lost their transport; the next sweep would forget them anyway.
            self._served = {each for each in self._served if each.transport is not None}
        if len(self._served) >= self._options.max_connections:
            return False
        self._served.add(connection)
        self._silent.pop(connection, None)
        return True

    def sweep(self, connections: list[RequestHandler], *, now_s: float) -> int:
        """Drop what is overdue or too much among the open ``connections``; return how many."""
        self._served.intersection_update(connections)
        silent = {
            connection: self._silent.get(connection, now_s)
            for connection in connections
            if connection not in self._served
        }
        room = max(0, self._options.max_connections - len(self._served))
        overdue_s = now_s - self._options.header_timeout_s
        dropped = 0
        self._silent = {}
        for position, (connection, seen_s) in enumerate(silent.items()):
            if position < room and seen_s > overdue_s:
                self._silent[connection] = seen_s
            elif connection.transport is not None:
                connection.transport.abort()
                dropped += 1
        return dropped
