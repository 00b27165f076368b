"""Ledger of one connection's topics: asked for, confirmed, refused, unanswered, being renewed.

The venue answers once per request, not per topic. A refused request is therefore asked again topic
by topic, so that the one it refuses has a name; an unanswered one is asked again, then named.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import msgspec

from trading_system.domain.errors import CorruptDataError, ValidationError

MAX_TOPIC_TEXT = 21_000
"""Characters of all topics that one connection may carry."""
SPOT_ARGS = 10
"""Topics of one request on a spot connection."""

_NS_PER_S = 1_000_000_000
_ANSWER_NS = 4 * _NS_PER_S
_TRIES = 2
_NEVER_NS = 2**63 - 1
_SUBSCRIBE, _RENEW, _DROP = "s:", "s:again:", "u:"


class _Request(msgspec.Struct):
    # One request that waits for its answer.
    operation: str
    name: str
    topics: list[str]
    asked_ns: int
    tries: int = 1

    def text(self) -> str:
        body = {"op": self.operation, "req_id": self.name, "args": self.topics}
        return msgspec.json.encode(body).decode()


class Subscriptions:
    """What was asked of the venue on this connection, and what it said.

    Parameters
    ----------
    topics : Sequence[str]
        Topics that every connection carries, at most 21 000 characters in total.
    max_args : int or None
        Most topics of one request; None for no limit.

    Attributes
    ----------
    due_ns : int
        Monotonic time from which :meth:`retry` has something to do.
    refused : dict of str to str
        Topics that the venue refused last, with its words.
    unanswered : int
        Requests that were not answered in time so far.
    """

    def __init__(self, topics: Sequence[str], *, max_args: int | None = None) -> None:
        if sum(map(len, topics)) > MAX_TOPIC_TEXT:
            raise ValidationError(f"more than {MAX_TOPIC_TEXT} characters of topics")
        self.topics = list(topics)
        self._max_args = max_args or max(len(self.topics), 1)
        self._batches: deque[list[str]] = deque()
        self._waiting: dict[str, _Request] = {}
        self._numbers = 0
        self._is_complete = False
        self.confirmed: set[str] = set()
        self.refused: dict[str, str] = {}
        self.unanswered = 0
        self.due_ns = _NEVER_NS

    @property
    def is_complete(self) -> bool:
        """Whether every topic was answered on this connection."""
        return self._is_complete

    @property
    def missing(self) -> list[str]:
        """Topics that the venue has not confirmed on this connection."""
        return [topic for topic in self.topics if topic not in self.confirmed]

    def is_renewing(self, topic: str) -> bool:
        """Return whether ``topic`` is being subscribed anew."""
        return f"{_DROP}{topic}" in self._waiting or f"{_RENEW}{topic}" in self._waiting

    def forget(self) -> None:
        """Forget the previous connection; what it refused is kept for the record."""
        self._batches = deque(self._split())
        self._waiting.clear()
        self.confirmed.clear()
        self._is_complete = False
        self.due_ns = _NEVER_NS

    def begin(self, now_ns: int) -> str:
        """Return the first request of a new connection."""
        self.refused.clear()
        text = self._next(now_ns)
        assert text is not None
        return text

    def renew(self, topic: str, now_ns: int) -> str:
        """Return the request that drops ``topic``; its answer leads to a new subscription."""
        return self._ask("unsubscribe", f"{_DROP}{topic}", [topic], now_ns)

    def dropped(self, name: str, now_ns: int) -> str | None:
        """Take the answer to an ``unsubscribe``; return the subscription that follows."""
        request = self._waiting.pop(name, None)
        self._reckon()
        if request is None:
            return None
        topic = name.removeprefix(_DROP)
        return self._ask("subscribe", f"{_RENEW}{topic}", [topic], now_ns)

    def subscribed(self, name: str, refusal: str | None, now_ns: int) -> str | None:
        """Take the answer to a ``subscribe``; return the next request if there is one.

        Parameters
        ----------
        name : str
            The request's name as the venue echoed it; empty where it echoes none.
        refusal : str or None
            The venue's words if it refused.

        Raises
        ------
        CorruptDataError
            If a renewal was refused.
        """
        request = self._waiting.pop(name or self._oldest(), None)
        self._reckon()
        if request is None:  # the second answer to a request that was repeated
            return None
        if request.name.startswith(_RENEW):
            if refusal is not None:
                raise CorruptDataError(f"renewal of {request.topics[0]} refused: {refusal}")
            return None
        self._judge(request.topics, refusal)
        return self._next(now_ns)

    def retry(self, now_ns: int) -> str | None:
        """Return a request that was not answered in time, to be sent again.

        Raises
        ------
        CorruptDataError
            If it was repeated already; the text names its topics.
        """
        for request in self._waiting.values():
            if now_ns - request.asked_ns < _ANSWER_NS:
                continue
            self.unanswered += 1
            if request.tries >= _TRIES:
                raise CorruptDataError(
                    f"no answer to {request.operation} of {', '.join(request.topics)[:200]}"
                )
            request.tries += 1
            request.asked_ns = now_ns
            self._reckon()
            return request.text()
        return None

    def _split(self) -> Iterator[list[str]]:
        for start in range(0, max(len(self.topics), 1), self._max_args):
            yield self.topics[start : start + self._max_args]

    def _judge(self, topics: list[str], refusal: str | None) -> None:
        if refusal is None or "already subscribed" in refusal.lower():
            self.confirmed.update(topics)
        elif len(topics) == 1:
            self.refused[topics[0]] = refusal
        else:  # find out which one the venue refuses
            self._batches.extendleft([topic] for topic in reversed(topics))

    def _next(self, now_ns: int) -> str | None:
        if not self._batches:
            self._is_complete = True
            return None
        self._numbers += 1
        return self._ask(
            "subscribe", f"{_SUBSCRIBE}{self._numbers}", self._batches.popleft(), now_ns
        )

    def _ask(self, operation: str, name: str, topics: list[str], now_ns: int) -> str:
        request = _Request(operation, name, topics, now_ns)
        self._waiting[name] = request
        self._reckon()
        return request.text()

    def _oldest(self) -> str:
        return next((n for n, r in self._waiting.items() if r.operation == "subscribe"), "")

    def _reckon(self) -> None:
        asked = (request.asked_ns for request in self._waiting.values())
        self.due_ns = min(asked, default=_NEVER_NS - _ANSWER_NS) + _ANSWER_NS
