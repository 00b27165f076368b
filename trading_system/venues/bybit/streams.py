"""Public and private streams: log in, subscribe, verify, hand out frames, resynchronise.

Frames are handed to a synchronous callback as they arrive. A callback that raises
``SequenceGapError`` has the topic subscribed anew, because a topic that lost a message cannot be
trusted; any other ``CorruptDataError`` has the connection dropped and opened anew.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import structlog

from trading_system.domain.errors import (
    CorruptDataError,
    Outcome,
    SequenceGapError,
    ValidationError,
    VenueAuthError,
    VenueRejected,
)
from trading_system.domain.ports import Clock
from trading_system.market.decode import peek_topic
from trading_system.runtime.limiter import SlidingWindow
from trading_system.venues.bybit.heartbeat import HEARTBEAT
from trading_system.venues.bybit.refusals import VENUE
from trading_system.venues.bybit.signing import Signer
from trading_system.venues.link import Link, LinkTiming, LinkView

_LOG = structlog.get_logger(__name__)
_NS_PER_MS = 1_000_000
_AUTH_VALID_MS = 5_000
_MAX_TOPIC_TEXT = 21_000
_CONTROL_BYTES = 400
_TOPIC_FIRST = b'{"topic"'  # as market data begins
_RESYNCS_PER_WINDOW = 10
_RESYNC_WINDOW_S = 30.0
_REFUSALS_TOLERATED = 3
_NO_OFFSET: Callable[[], int] = int


class _Control(msgspec.Struct, frozen=True):
    # A control reply of the public and private streams.
    op: str = ""
    success: bool = True
    ret_msg: str = ""
    req_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamCallbacks:
    """What a stream tells its owner, synchronously.

    Parameters
    ----------
    on_frame : Callable[[bytes, int], None]
        Called with each data frame and its monotonic receive time in nanoseconds.
    on_up : Callable[[], None]
        Called when the connection is logged in and subscribed.
    on_down : Callable[[str], None]
        Called with the reason when the connection is lost.
    on_resync : Callable[[str], None]
        Called with a topic that lost its place and is being subscribed anew.
    """

    on_frame: Callable[[bytes, int], None]
    on_up: Callable[[], None]
    on_down: Callable[[str], None]
    on_resync: Callable[[str], None] = lambda _topic: None


class BybitStream(LinkView):
    """A public or private stream of Bybit V5.

    Parameters
    ----------
    url : str
        Full address including the path, for example ``ws://127.0.0.1:9000/v5/public/linear``.
    topics : Sequence[str]
        Topics subscribed after every connect, at most 21 000 characters in total.
    callbacks : StreamCallbacks
        Receiver of frames and state changes.
    clock : Clock
        Source of receive stamps.
    jitter : random.Random
        Source of the back-off's jitter.
    signer : Signer or None
        Logs in before subscribing when given.
    offset_ns : Callable[[], int]
        The venue's clock minus ours, nanoseconds; log-ins carry the venue's time.
    timing : LinkTiming or None
        Patience of the connection.
    """

    def __init__(
        self,
        url: str,
        topics: Sequence[str],
        *,
        callbacks: StreamCallbacks,
        clock: Clock,
        jitter: random.Random,
        signer: Signer | None = None,
        offset_ns: Callable[[], int] = _NO_OFFSET,
        timing: LinkTiming | None = None,
    ) -> None:
        if sum(map(len, topics)) > _MAX_TOPIC_TEXT:
            raise ValidationError(f"more than {_MAX_TOPIC_TEXT} characters of topics")
        self._topics = list(topics)
        self._callbacks = callbacks
        self._clock = clock
        self._signer = signer
        self._offset_ns = offset_ns
        self._control = msgspec.json.Decoder(_Control)
        self._link = Link(url, self, clock=clock, jitter=jitter, heartbeat=HEARTBEAT, timing=timing)
        self._resync_rate = SlidingWindow(
            _RESYNCS_PER_WINDOW, window_s=_RESYNC_WINDOW_S, clock=clock
        )
        self._single: list[str] = []  # topics still to be tried one by one
        self._refused: dict[str, str] = {}
        self._refusals_in_a_row = 0
        self._resyncing: set[str] = set()
        self.resyncs = 0

    @property
    def frames(self) -> int:
        """Frames received so far."""
        return self._link.frames

    @property
    def refused_topics(self) -> dict[str, str]:
        """Topics that the venue last refused, with its words."""
        return dict(self._refused)

    async def run(self) -> None:
        """Keep the connection alive until cancelled.

        Raises
        ------
        VenueAuthError
            If the venue refuses the key; reconnecting would not help.
        VenueRejected
            If the venue refuses a topic on three connections in a row; the text names it.
        """
        await self._link.run()

    async def resync(self, topic: str | None = None) -> bool:
        """Subscribe ``topic`` anew for a fresh snapshot; without a topic, reconnect.

        Returns
        -------
        bool
            False if nothing was done: not connected, or the topic is being renewed already.
            Beyond ten renewals within 30 s the connection is opened anew instead.

        Raises
        ------
        ValidationError
            If the stream does not carry ``topic``.
        """
        if topic is not None and topic not in self._topics:
            raise ValidationError(f"not a topic of this stream: {topic[:60]!r}")
        if not self.is_up or topic in self._resyncing:
            return False
        text = self._renewal(topic) if topic is not None else None
        if text is None:
            await self._link.drop("resynchronisation was asked for")
        else:
            await self._link.send(text)
        return True

    # --- called by the link -------------------------------------------------------------------

    def opened(self) -> str:
        """Return the log-in, or without a key the subscription."""
        self._single.clear()
        self._resyncing.clear()
        if self._signer is None:
            return self._subscription(self._topics, "all")
        now_ns = self._clock.utc_ns() + self._offset_ns()
        expires_ms = now_ns // _NS_PER_MS + _AUTH_VALID_MS
        return _text({"op": "auth", "args": self._signer.stream_auth(expires_ms=expires_ms)})

    def received(self, frame: bytes, received_ns: int) -> str | None:
        """Hand out a data frame, or act on a control reply."""
        if not frame.startswith(_TOPIC_FIRST):
            head = frame[:_CONTROL_BYTES]
            if b'"op":' in head and b'"topic"' not in head:
                return self._on_control(frame)
        try:
            self._callbacks.on_frame(frame, received_ns)
        except SequenceGapError as e:
            return self._on_gap(peek_topic(frame), e)
        return None

    def closed(self, reason: str) -> None:
        """Tell the owner; give up on topics that the venue keeps refusing."""
        self._callbacks.on_down(reason)
        if self._refusals_in_a_row >= _REFUSALS_TOLERATED:
            raise VenueRejected(
                f"subscription refused: {self._named_refusals()}",
                venue=VENUE,
                operation="stream.subscribe",
                outcome=Outcome.REJECTED,
            )

    # --- private ------------------------------------------------------------------------------

    def _on_gap(self, topic: str, gap: SequenceGapError) -> str | None:
        if topic not in self._topics:
            raise CorruptDataError(f"a gap in a topic that was not subscribed: {gap}") from gap
        if topic in self._resyncing:
            return None
        text = self._renewal(topic)
        if text is None:
            raise CorruptDataError(f"too many gaps, the newest: {gap}") from gap
        _LOG.warning("topic is subscribed anew", topic=topic, reason=str(gap))
        return text

    # The request that renews one topic, None when there were too many of late.
    def _renewal(self, topic: str) -> str | None:
        if not self._resync_rate.try_acquire():
            return None
        self.resyncs += 1
        self._resyncing.add(topic)
        self._callbacks.on_resync(topic)
        return _text({"op": "unsubscribe", "req_id": f"u:{topic}", "args": [topic]})

    @staticmethod
    def _subscription(topics: Sequence[str], name: str) -> str:
        return _text({"op": "subscribe", "req_id": f"s:{name}", "args": topics})

    def _on_control(self, frame: bytes) -> str | None:
        try:
            control = self._control.decode(frame)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as e:
            raise CorruptDataError(f"control frame: {e}") from e
        if control.op == "auth":
            return self._on_auth(control)
        if control.op == "subscribe":
            return self._on_subscribed(control)
        if control.op == "unsubscribe" and control.req_id.startswith("u:"):
            topic = control.req_id.removeprefix("u:")
            return self._subscription([topic], f"again:{topic}")
        return None

    def _on_auth(self, control: _Control) -> str:
        if not control.success:
            raise VenueAuthError(
                f"stream log-in refused: {control.ret_msg} (a key belongs to one environment; "
                "check TRADING_ENVIRONMENT and TRADING_BYBIT__API_KEY)",
                venue=VENUE,
                operation="stream.auth",
                outcome=Outcome.REJECTED,
            )
        return self._subscription(self._topics, "all")

    def _on_subscribed(self, control: _Control) -> str | None:
        name = control.req_id.removeprefix("s:")
        if name.startswith("again:"):
            self._resyncing.discard(name.removeprefix("again:"))
            if not control.success:
                raise CorruptDataError(f"renewal of {name[6:]} refused: {control.ret_msg}")
            return None
        if self._single:
            return self._on_single(control)
        if not control.success:  # the request for all: find out which topic the venue refuses
            self._refused.clear()
            self._single = list(self._topics)
            return self._subscription([self._single[0]], self._single[0])
        self._all_subscribed()
        return None

    # Topics are tried one after the other, so the answer is to the first one.
    def _on_single(self, control: _Control) -> str | None:
        topic = self._single.pop(0)
        if not control.success and "already subscribed" not in control.ret_msg.lower():
            self._refused[topic] = control.ret_msg
        if self._single:
            return self._subscription([self._single[0]], self._single[0])
        if self._refused:
            self._refusals_in_a_row += 1
            raise CorruptDataError(f"subscription refused: {self._named_refusals()}")
        self._all_subscribed()
        return None

    def _all_subscribed(self) -> None:
        self._refusals_in_a_row = 0
        self._refused.clear()
        self._link.prepared()
        self._callbacks.on_up()

    def _named_refusals(self) -> str:
        return ", ".join(f"{topic} ({text})" for topic, text in self._refused.items())


def _text(request: dict[str, object]) -> str:
    return msgspec.json.encode(request).decode()
