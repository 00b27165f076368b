"""Public and private streams: log in, subscribe, verify, hand out frames, resynchronise.

Frames are handed to a synchronous callback as they arrive. A callback that raises
``SequenceGapError`` has the topic subscribed anew, because a topic that lost a message cannot be
trusted; any other ``CorruptDataError`` has the connection dropped and opened anew.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
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
from trading_system.venues.bybit.refusals import LATE_TOLERATED, VENUE, came_late
from trading_system.venues.bybit.signing import Signer
from trading_system.venues.bybit.subscriptions import SPOT_ARGS, Subscriptions
from trading_system.venues.link import Link, LinkTiming, LinkView
from trading_system.venues.link_state import LinkState

_LOG = structlog.get_logger(__name__)
_NS_PER_MS = 1_000_000
_AUTH_VALID_MS = 5_000
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
    optional : Collection[str]
        Topics that the stream can do without where the venue refuses them.
    on_late : Callable[[], None]
        Told that a log-in came too late: the offset is wrong.
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
        optional: Collection[str] = (),
        on_late: Callable[[], None] = lambda: None,
    ) -> None:
        max_args = SPOT_ARGS if url.rstrip("/").endswith("/spot") else None
        self._optional = frozenset(optional)
        self._on_late = on_late
        self._subscriptions = Subscriptions(topics, max_args=max_args)
        self._callbacks = callbacks
        self._clock = clock
        self._signer = signer
        self._offset_ns = offset_ns
        self._control = msgspec.json.Decoder(_Control)
        self._link = Link(
            url,
            self,
            clock=clock,
            jitter=jitter,
            heartbeat=HEARTBEAT,
            timing=timing,
            logs_in=signer is not None,
        )
        self._resync_rate = SlidingWindow(
            _RESYNCS_PER_WINDOW, window_s=_RESYNC_WINDOW_S, clock=clock
        )
        self._is_subscribed = False
        self._refusals_in_a_row = 0
        self._late_log_ins = 0
        self.resyncs = 0

    @property
    def frames(self) -> int:
        """Frames received so far."""
        return self._link.frames

    @property
    def refused_topics(self) -> dict[str, str]:
        """Topics that the venue last refused, with its words."""
        return dict(self._subscriptions.refused)

    @property
    def unconfirmed_topics(self) -> list[str]:
        """Topics that the venue has not confirmed on the present connection."""
        return self._subscriptions.missing

    @property
    def unanswered(self) -> int:
        """Subscription requests that were not answered in time so far; each was repeated."""
        return self._subscriptions.unanswered

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
        if topic is not None and topic not in self._subscriptions.topics:
            raise ValidationError(f"not a topic of this stream: {topic[:60]!r}")
        if not self.is_up or (topic is not None and self._subscriptions.is_renewing(topic)):
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
        self._is_subscribed = False
        self._subscriptions.forget()
        if self._signer is None:
            return self._subscriptions.begin(self._clock.monotonic_ns())
        now_ns = self._clock.utc_ns() + self._offset_ns()
        expires_ms = now_ns // _NS_PER_MS + _AUTH_VALID_MS
        return _text({"op": "auth", "args": self._signer.stream_auth(expires_ms=expires_ms)})

    def received(self, frame: bytes, received_ns: int) -> str | None:
        """Hand out a data frame, or act on a control reply; repeat a request that is overdue."""
        answer = None
        if not frame.startswith(_TOPIC_FIRST) and _is_control(frame[:_CONTROL_BYTES]):
            answer = self._on_control(frame, received_ns)
        else:
            try:
                self._callbacks.on_frame(frame, received_ns)
            except SequenceGapError as e:
                answer = self._on_gap(peek_topic(frame), e)
        if answer is None and received_ns >= self._subscriptions.due_ns:
            answer = self._subscriptions.retry(received_ns)
        return answer

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
        if topic not in self._subscriptions.topics:
            raise CorruptDataError(f"a gap in a topic that was not subscribed: {gap}") from gap
        if self._subscriptions.is_renewing(topic):
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
        self._callbacks.on_resync(topic)
        return self._subscriptions.renew(topic, self._clock.monotonic_ns())

    def _on_control(self, frame: bytes, now_ns: int) -> str | None:
        try:
            control = self._control.decode(frame)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as e:
            raise CorruptDataError(f"control frame: {e}") from e
        if control.op == "auth":
            return self._on_auth(control, now_ns)
        if control.op == "subscribe":
            return self._on_subscribed(control, now_ns)
        if control.op == "unsubscribe":
            return self._subscriptions.dropped(control.req_id, now_ns)
        return None

    def _on_auth(self, control: _Control, now_ns: int) -> str | None:
        if control.success:
            if self._link.state is not LinkState.AUTHENTICATING:
                return None  # said a second time
            self._late_log_ins = 0
            self._link.authenticated()
            return self._subscriptions.begin(now_ns)
        if came_late(control.ret_msg) and self._late_log_ins < LATE_TOLERATED:
            self._late_log_ins += 1
            self._on_late()
            raise CorruptDataError(f"stream log-in came too late: {control.ret_msg}")
        raise VenueAuthError(
            f"stream log-in refused: {control.ret_msg} (a key belongs to one environment; "
            "check TRADING_ENVIRONMENT and TRADING_BYBIT__API_KEY)",
            venue=VENUE,
            operation="stream.auth",
            outcome=Outcome.REJECTED,
        )

    def _on_subscribed(self, control: _Control, now_ns: int) -> str | None:
        refusal = None if control.success else control.ret_msg
        text = self._subscriptions.subscribed(control.req_id, refusal, now_ns)
        if text is not None or self._is_subscribed or not self._subscriptions.is_complete:
            return text
        if self._subscriptions.refused.keys() - self._optional:
            self._refusals_in_a_row += 1
            raise CorruptDataError(f"subscription refused: {self._named_refusals()}")
        self._is_subscribed = True
        self._refusals_in_a_row = 0
        self._link.prepared()
        self._callbacks.on_up()
        return None

    def _named_refusals(self) -> str:
        refused = self._subscriptions.refused
        return ", ".join(f"{topic} ({text})" for topic, text in refused.items())


def _is_control(head: bytes) -> bool:
    return b'"op":' in head and b'"topic"' not in head


def _text(request: dict[str, object]) -> str:
    return msgspec.json.encode(request).decode()
