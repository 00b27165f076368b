"""Real receivers of alerts and heartbeats on loopback, and sinks that tests steer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from trading_system.domain.errors import AlertDeliveryError


class Receiver:
    """A web server that keeps what it was sent; ``status`` is its answer, ``open`` lets it go."""

    def __init__(self) -> None:
        self.status = 200
        self.bodies: list[bytes] = []
        self.paths: list[str] = []
        self.asked = threading.Event()
        self.open = threading.Event()
        self.open.set()
        self.port = 0


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Serve a :class:`Receiver` on loopback."""
    state = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            state.bodies.append(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            self.do_GET()

        def do_GET(self) -> None:
            state.paths.append(self.path)
            state.asked.set()
            state.open.wait(10)
            try:
                self.send_response(state.status)
                self.send_header("Content-Length", "0")
                self.end_headers()
            except OSError:
                self.close_connection = True

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        state.open.set()
        server.shutdown()
        server.server_close()
        thread.join()


class SteeredSink:
    """Fails the first ``failures`` times; hangs while ``gate`` is closed."""

    def __init__(self, name: str = "fake", *, failures: int = 0, error: Exception | None = None):
        self.name = name
        self.failures = failures
        self.error = error or AlertDeliveryError("refused")
        self.messages: list[tuple[str, str]] = []
        self.calls = 0
        self.at_work = 0
        self.most_at_work = 0
        self.gate = threading.Event()
        self.gate.set()

    def send(self, title: str, text: str) -> None:
        self.calls += 1
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        try:
            self.gate.wait(10)
            if self.failures > 0:
                self.failures -= 1
                raise self.error
            self.messages.append((title, text))
        finally:
            self.at_work -= 1
