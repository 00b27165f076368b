"""What client threads received, kept so that a case can wait for a condition with a deadline."""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from protocol import Book, book_of, check_book
from registry import CaseError, check

WAIT_S = 8.0
KEPT_BOOKS = 4000


class Rows:
    """Rows of several topics, appended by a client thread, awaited by the cases."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._rows: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)

    def add(self, message: dict[str, Any]) -> None:
        """Keep every row of one pushed message."""
        data = message["data"]
        with self._changed:
            self._rows[message["topic"]].extend(data if isinstance(data, list) else [dict(data)])
            self._changed.notify_all()

    def mark(self, topic: str) -> int:
        """Return how many rows of ``topic`` were received so far."""
        with self._changed:
            return len(self._rows[topic])

    def since(self, topic: str, mark: int = 0) -> list[dict[str, Any]]:
        """Return the rows of ``topic`` received after ``mark``."""
        with self._changed:
            return list(self._rows[topic][mark:])

    def wait(
        self,
        topic: str,
        wanted: Callable[[dict[str, Any]], bool],
        *,
        mark: int = 0,
        timeout_s: float = WAIT_S,
    ) -> dict[str, Any]:
        """Return the first row of ``topic`` after ``mark`` that is wanted."""
        deadline = time.monotonic() + timeout_s
        place = mark
        with self._changed:
            while True:
                rows = self._rows[topic]
                for row in rows[place:]:
                    if wanted(row):
                        return row
                place = max(place, len(rows))
                left = deadline - time.monotonic()
                if left <= 0:
                    tail = rows[mark:][-2:]
                    raise CaseError(f"{topic}: nothing fitting in {timeout_s:.0f} s; last: {tail}")
                self._changed.wait(left)

    def wait_count(self, topic: str, count: int, *, mark: int = 0) -> list[dict[str, Any]]:
        """Return the rows after ``mark`` once there are ``count`` of them."""
        with self._changed:
            found = self._changed.wait_for(
                lambda: len(self._rows[topic]) - mark >= count, timeout=WAIT_S
            )
            rows = self._rows[topic][mark:]
        check(found, f"{topic}: {len(rows)} rows in {WAIT_S:.0f} s, expected {count}")
        return rows


class BookLog:
    """Every state of one book topic as the client holds it, by ``seq``."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self._changed = threading.Condition()
        self._books: dict[int, Book] = {}
        self._last_seq = -1
        self._last_u = -1
        self.messages = 0
        self.problem: str | None = None

    def add(self, message: dict[str, Any]) -> None:
        """Keep the client's book after one message; remember the first broken rule."""
        data = message["data"]
        book = book_of(data)
        with self._changed:
            try:
                check_book(book, self.depth, f"{message['topic']} u {data['u']}")
                self._check_order(data["u"], data["seq"])
            except CaseError as e:
                self.problem = self.problem or str(e)
            self._books[data["seq"]] = book
            self._last_seq, self._last_u = data["seq"], data["u"]
            self.messages += 1
            if len(self._books) > KEPT_BOOKS:
                del self._books[next(iter(self._books))]
            self._changed.notify_all()

    def _check_order(self, u: int, seq: int) -> None:
        check(seq >= self._last_seq, f"seq went back from {self._last_seq} to {seq}")
        if self.depth == 1 or self._last_u < 0:
            return
        check(u == self._last_u + 1, f"depth {self.depth}: u jumped from {self._last_u} to {u}")

    def wait_messages(self, count: int) -> None:
        """Wait until ``count`` messages were received in all."""
        with self._changed:
            found = self._changed.wait_for(lambda: self.messages >= count, timeout=WAIT_S)
        check(found, f"depth {self.depth}: {self.messages} messages in {WAIT_S:.0f} s")

    def at(self, seq: int, *, timeout_s: float) -> Book | None:
        """Return the client's book at exactly ``seq``, None if it was never in that state."""
        with self._changed:
            self._changed.wait_for(lambda: self._last_seq >= seq, timeout=timeout_s)
            return self._books.get(seq)


class ClientLog(logging.Handler):
    """What pybit and its WebSocket library logged: acknowledgements and failures of threads."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self._changed = threading.Condition()
        self._texts: list[str] = []
        self.failures: list[str] = []
        self.crashes: list[str] = []
        self._loggers = [logging.getLogger(name) for name in ("pybit", "websocket")]

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record."""
        text = record.getMessage()
        with self._changed:
            self._texts.append(text)
            if record.levelno >= logging.ERROR:
                self.failures.append(text)
            self._changed.notify_all()

    def install(self) -> None:
        """Listen to the client libraries' loggers and to threads that die."""
        if not logging.root.handlers:  # else pybit writes to the terminal by itself
            logging.root.addHandler(logging.NullHandler())
        for logger in self._loggers:
            logger.setLevel(logging.DEBUG)
            logger.propagate = False
            logger.addHandler(self)
        threading.excepthook = self._crashed

    def remove(self) -> None:
        """Stop listening."""
        for logger in self._loggers:
            logger.removeHandler(self)
        threading.excepthook = threading.__excepthook__

    def _crashed(self, hook: threading.ExceptHookArgs) -> None:
        with self._changed:
            self.crashes.append(f"{hook.exc_type.__name__}: {hook.exc_value}")
            self._changed.notify_all()

    def wait(self, fragment: str, *, count: int = 1, timeout_s: float = WAIT_S) -> str:
        """Return the ``count``-th text that contains ``fragment``."""

        def found() -> list[str]:
            return [text for text in self._texts if fragment in text]

        with self._changed:
            done = self._changed.wait_for(lambda: len(found()) >= count, timeout=timeout_s)
            texts = found()
        check(done, f"the client logged {fragment!r} {len(texts)} times, expected {count}")
        return texts[count - 1]

    def wait_failure(self, fragment: str, *, timeout_s: float = WAIT_S) -> str:
        """Return, and take out of the log, the first crash or error with ``fragment``."""

        def found() -> list[str]:
            return [text for text in self.failures + self.crashes if fragment in text]

        with self._changed:
            done = self._changed.wait_for(lambda: bool(found()), timeout=timeout_s)
            check(done, f"no client failure with {fragment!r}: {self.failures + self.crashes}")
            return found()[0]

    def take(self) -> list[str]:
        """Return and forget every failure so far."""
        with self._changed:
            texts = self.failures + self.crashes
            self.failures, self.crashes = [], []
        return texts
