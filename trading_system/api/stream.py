"""The live stream: newest frame per topic, computed once for all clients, only while wanted.

A client holds no queue. It remembers the version of each topic it was sent last; when it has time
it gets the newest one, so a slow client skips frames and never delays another.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any, Final

import structlog

from trading_system.api.answers import encoded
from trading_system.domain.errors import ValidationError
from trading_system.domain.ports import Clock, Inspection, StatusSource
from trading_system.runtime.limiter import SlidingWindow

MAX_CLIENTS: Final = 16
MAX_TOPICS: Final = 32
TICK_S: Final = 0.1
MARKET_DEPTH: Final = 25
LOG_LINES: Final = 200
STREAM_FILLS: Final = 50
TOPICS: Final = (
    "status",
    "alerts",
    "equity",
    "log",
    "positions",
    "orders",
    "fills",
    "market-maker",
)
"""Topics beside ``market:SYMBOL``."""

_LOG_TOPIC: Final = "log"
_MARKET: Final = "market:"
_MARKET_TOPIC: Final = re.compile(r"market:[A-Z0-9]{2,20}(-[A-Z0-9]{1,12}){0,2}")
_NS_PER_MS: Final = 1_000_000
# A little less than the interval, so that a tick that comes early by a hair is not skipped.
_SLACK_NS: Final = 20 * _NS_PER_MS
_INTERVAL_NS: Final = {"market": 100 * _NS_PER_MS, "equity": 1000 * _NS_PER_MS}
_USUAL_INTERVAL_NS: Final = 500 * _NS_PER_MS
_PICTURE_TIMES: Final = frozenset({"time_ms", "age_s"})
_LOG: Final = structlog.get_logger(__name__)


class StreamClient:
    """One open stream; what it wants and what it was sent.

    Attributes
    ----------
    wanted : frozenset of str
        Topics.
    wake : asyncio.Event
        Set when something may be new.
    """

    def __init__(self) -> None:
        self.wanted: frozenset[str] = frozenset()
        self.wake = asyncio.Event()
        self._sent: dict[str, int] = {}
        self._turns: OrderedDict[str, None] = OrderedDict()
        self._log_after: int | None = None

    def want(self, topics: Iterable[str]) -> None:
        """Replace the topics; what stays is not sent twice."""
        self._turns = OrderedDict.fromkeys(topics)
        self.wanted = frozenset(self._turns)
        self._sent = {topic: n for topic, n in self._sent.items() if topic in self.wanted}
        if _LOG_TOPIC not in self.wanted:
            self._log_after = None
        self.wake.set()

    def fresh(self, stream: Stream) -> str | None:
        """Return one frame that this client has not had, None if it is up to date.

        The topics take turns, so that a slow client misses frames of each and starves of none.
        """
        for topic in list(self._turns):
            frame = self._fresh_of(topic, stream)
            if frame is not None:
                self._turns.move_to_end(topic)
                return frame
        return None

    def _fresh_of(self, topic: str, stream: Stream) -> str | None:
        if topic == _LOG_TOPIC:
            return self._fresh_log(stream)
        newest = stream.newest.get(topic)
        if newest is None or newest[0] == self._sent.get(topic):
            return None
        self._sent[topic] = newest[0]
        return newest[1]

    def _fresh_log(self, stream: Stream) -> str | None:
        # Lines are the one topic of which none may be skipped: each client has its own place.
        end = stream.log_end
        if end is None:
            return None
        after = max(0, end - LOG_LINES) if self._log_after is None else self._log_after
        if after >= end:
            self._log_after = after
            return None
        frame, self._log_after = stream.log_frame(after)
        return frame


class Stream:
    """All clients of the live stream and the one task that computes for them.

    Parameters
    ----------
    clock : Clock
        Monotonic time for the intervals, UTC for the frames.

    Attributes
    ----------
    newest : dict
        Version and encoded frame of every topic that somebody wants.
    log_end : int or None
        Number of the newest log line known, None before the first look.
    """

    def __init__(self, source: StatusSource, inspection: Inspection, *, clock: Clock) -> None:
        self._source = source
        self._inspection = inspection
        self._clock = clock
        self._clients: set[StreamClient] = set()
        self._arrived = asyncio.Event()
        self._due_ns: dict[str, int] = {}
        self._pictures: dict[str, dict[str, Any]] = {}
        self._version = 0
        self._log_frames: dict[int, tuple[str, int]] = {}
        self._warned = SlidingWindow(1, window_s=60.0, clock=clock)
        self.newest: dict[str, tuple[int, str]] = {}
        self.log_end: int | None = None

    @property
    def clients(self) -> int:
        """Open streams."""
        return len(self._clients)

    def admit(self) -> StreamClient | None:
        """Return a new client, None if as many as may are there."""
        if len(self._clients) >= MAX_CLIENTS:
            return None
        client = StreamClient()
        self._clients.add(client)
        self._arrived.set()
        return client

    def dismiss(self, client: StreamClient) -> None:
        """Forget a client."""
        self._clients.discard(client)

    def checked(self, topics: Iterable[str]) -> str | None:
        """Return why one of ``topics`` cannot be had, None if all can."""
        for topic in topics:
            if topic in TOPICS:
                continue
            if not _MARKET_TOPIC.fullmatch(topic):
                return f"unknown topic; there are market:SYMBOL and {', '.join(TOPICS)}"
            if topic not in self.newest:
                try:
                    self._inspection.market(topic.removeprefix(_MARKET), depth=1)
                except ValidationError as e:
                    return str(e)
        return None

    async def run(self) -> None:
        """Compute for as long as it is not cancelled; without clients it sleeps."""
        while True:
            if not self._clients:
                self._arrived.clear()
                self.tick()
                await self._arrived.wait()
            self.tick()
            await asyncio.sleep(TICK_S)

    def tick(self) -> None:
        """Compute the topics that are wanted and due, and wake the clients if one is new."""
        wanted = frozenset[str]().union(*(client.wanted for client in self._clients))
        self._forget_unwanted(wanted)
        now_ns = self._clock.monotonic_ns()
        due = [topic for topic in wanted if now_ns >= self._due_ns.get(topic, 0)]
        is_new = [self._refresh(topic, now_ns) for topic in due]
        if any(is_new):
            for client in self._clients:
                client.wake.set()

    def log_frame(self, after: int) -> tuple[str, int]:
        """Return the frame of the log lines after a number, and the number of its last line."""
        known = self._log_frames.get(after)
        if known is None:
            content = self._inspection.log(after=after, limit=LOG_LINES)
            end = int(content["next_after"])
            # Lines that have fallen out of the ring meanwhile must not be waited for.
            reached = end if end > after else max(after, self.log_end or after)
            known = self._log_frames[after] = (self._frame(_LOG_TOPIC, content), reached)
        return known

    def _forget_unwanted(self, wanted: frozenset[str]) -> None:
        for topic in [topic for topic in self._due_ns if topic not in wanted]:
            del self._due_ns[topic]
            self.newest.pop(topic, None)
            self._pictures.pop(topic, None)
            if topic == _LOG_TOPIC:
                self.log_end = None
                self._log_frames.clear()

    def _refresh(self, topic: str, now_ns: int) -> bool:
        interval_ns = _INTERVAL_NS.get(topic.partition(":")[0], _USUAL_INTERVAL_NS)
        self._due_ns[topic] = now_ns + interval_ns - _SLACK_NS
        try:
            if topic == _LOG_TOPIC:
                return self._refresh_log()
            return self._refresh_topic(topic)
        except Exception:  # one broken topic must not take the others with it
            if self._warned.try_acquire():
                _LOG.exception("a topic of the stream broke", topic=topic)
            return False

    def _refresh_topic(self, topic: str) -> bool:
        content = self._content(topic)
        if topic.startswith(_MARKET) and not self._has_changed(topic, content):
            return False
        self._version += 1
        self.newest[topic] = (self._version, self._frame(topic, content))
        return True

    def _refresh_log(self) -> bool:
        is_first = self.log_end is None
        end = self.log_end or 0
        while True:
            after = int(self._inspection.log(after=end, limit=LOG_LINES)["next_after"])
            if after <= end:
                break
            end = after
        is_new = is_first or end != self.log_end
        self.log_end = end
        if is_new:
            self._log_frames.clear()
        return is_new

    def _content(self, topic: str) -> Mapping[str, Any]:
        inspection = self._inspection
        if topic.startswith(_MARKET):
            return inspection.market(topic.removeprefix(_MARKET), depth=MARKET_DEPTH)
        if topic == "equity":
            equity = inspection.equity()
            return {**equity, "points": equity["points"][-1:]}
        if topic == "fills":
            return inspection.fills(symbol=None, limit=STREAM_FILLS)
        plain = {
            "status": self._source.get_system_status,
            "alerts": inspection.alerts,
            "positions": inspection.positions,
            "orders": inspection.orders,
            "market-maker": inspection.market_maker,
        }
        return plain[topic]()

    def _has_changed(self, topic: str, content: Mapping[str, Any]) -> bool:
        picture = {key: value for key, value in content.items() if key not in _PICTURE_TIMES}
        if self._pictures.get(topic) == picture:
            return False
        self._pictures[topic] = picture
        return True

    def _frame(self, topic: str, content: Mapping[str, Any]) -> str:
        time_ms = self._clock.utc_ns() // _NS_PER_MS
        frame = {"topic": topic, "time_ms": time_ms, "data": content}
        return encoded(frame).decode()
