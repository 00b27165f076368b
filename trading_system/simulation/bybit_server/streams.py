"""The public and private WebSocket channels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from trading_system.simulation.bybit_server.connections import (
    MAX_ARGS,
    MAX_ARGS_CHARACTERS,
    authenticate,
    operation_of,
    read_request,
    request_id,
    topic_list,
)
from trading_system.simulation.bybit_server.envelope import Row, encode
from trading_system.simulation.bybit_server.parameters import LISTED
from trading_system.simulation.bybit_server.private_feeds import TOPICS, PrivateFeeds
from trading_system.simulation.bybit_server.public_feeds import PublicFeeds
from trading_system.simulation.bybit_server.session import Session
from trading_system.simulation.records import AccountSpec, VenueReject

_UNKNOWN_PUBLIC_OP = "Unknown op: use ping, subscribe or unsubscribe"
_UNKNOWN_PRIVATE_OP = "Unknown op: use auth, ping, subscribe or unsubscribe"
_INVALID_ARGS = (
    f"Invalid args: a list of 1 to {MAX_ARGS} topics, {MAX_ARGS_CHARACTERS} characters in all"
)
_SPOT_ARGS = 10
_MAX_HELD = 10_000


class Channel(Protocol):
    """What a connection does with its client's frames."""

    def receive(self, text: str) -> None:
        """Handle one text frame."""
        ...

    def close(self) -> None:
        """Forget the client."""
        ...


class PublicChannel:
    """``/v5/public/CATEGORY``: topics without authentication."""

    def __init__(
        self, session: Session, feeds: PublicFeeds, *, category: str, now_ms: Callable[[], int]
    ) -> None:
        self._session = session
        self._feeds = feeds
        self._category = category
        self._now_ms = now_ms
        self._wanted: dict[str, None] = {}

    def receive(self, text: str) -> None:
        """Handle ping, subscribe and unsubscribe; everything else is answered as an error."""
        request = read_request(text)
        if request is None:
            self._answer({}, "", is_ok=False, message="Invalid JSON")
            return
        operation = operation_of(request)
        if operation == "ping":
            self._answer(request, "ping", is_ok=True, message="pong", is_delayed=False)
        elif operation == "subscribe":
            self._subscribe(request)
        elif operation == "unsubscribe":
            self._unsubscribe(request)
        else:
            self._answer(request, operation, is_ok=False, message=_UNKNOWN_PUBLIC_OP)

    def close(self) -> None:
        """Drop every subscription."""
        for topic in self._wanted:
            self._stop(topic)
        self._wanted.clear()

    def _subscribe(self, request: Mapping[str, object]) -> None:
        topics = topic_list(request)
        problem = _INVALID_ARGS if topics is None else self._problem(topics)
        if topics is None or problem:
            self._answer(request, "subscribe", is_ok=False, message=problem)
            return
        fresh = [topic for topic in dict.fromkeys(topics) if topic not in self._wanted]
        self._wanted.update(dict.fromkeys(fresh))
        message = "subscribe" if self._category == "spot" else ""
        self._answer(request, "subscribe", is_ok=True, message=message)
        self._session.later(lambda: self._start(fresh))

    def _start(self, topics: list[str]) -> None:
        category = LISTED.get(self._category)
        if category is None:
            return
        now_ms = self._now_ms()
        for topic in topics:
            if topic in self._wanted:
                self._feeds.subscribe(self._session, topic, now_ms=now_ms, category=category)

    def _stop(self, topic: str) -> None:
        category = LISTED.get(self._category)
        if category is not None:
            self._feeds.unsubscribe(self._session, topic, category=category)

    def _unsubscribe(self, request: Mapping[str, object]) -> None:
        topics = topic_list(request)
        if topics is None:
            self._answer(request, "unsubscribe", is_ok=False, message=_INVALID_ARGS)
            return
        for topic in topics:
            self._wanted.pop(topic, None)
            self._stop(topic)
        self._answer(request, "unsubscribe", is_ok=True, message="")

    def _problem(self, topics: list[str]) -> str:
        if self._category == "spot" and len(topics) > _SPOT_ARGS:
            return f"args size >10: at most {_SPOT_ARGS} topics per request"
        # The bound on characters is per connection, not per request.
        if sum(map(len, {*self._wanted, *topics})) > MAX_ARGS_CHARACTERS:
            return f"too many topics: {MAX_ARGS_CHARACTERS} characters in all per connection"
        for topic in topics:
            if not self._feeds.is_valid(topic, category=self._category):
                return f"Invalid topic: {topic[:64]}"
        return ""

    def _answer(
        self,
        request: Mapping[str, object],
        operation: str,
        *,
        is_ok: bool,
        message: str,
        is_delayed: bool = True,
    ) -> None:
        given = request_id(request, "req_id")
        frame = encode(
            {
                "success": is_ok,
                "ret_msg": message,
                "conn_id": self._session.connection_id,
                "req_id": "" if given is None else given,
                "op": operation,
            }
        )
        if is_delayed:
            self._session.later_push(frame)
        else:
            self._session.push(frame)


class PrivateChannel:
    """``/v5/private``: authenticate, then follow the account's own events."""

    def __init__(
        self,
        session: Session,
        feeds: PrivateFeeds,
        *,
        accounts: Mapping[str, AccountSpec],
        now_ms: Callable[[], int],
    ) -> None:
        self.topics: dict[str, None] = {}
        self._session = session
        self._feeds = feeds
        self._accounts = accounts
        self._now_ms = now_ms
        self._account: AccountSpec | None = None
        self._waiting: dict[str, int] = {}
        self._held: list[tuple[str, bytes]] = []
        self._is_refused = False

    def deliver(self, payload: bytes, text: str) -> None:
        """Queue one push; while the subscription's ack is outstanding, behind it."""
        if text not in self._waiting:
            self._session.push(payload)
        elif len(self._held) < _MAX_HELD:
            self._held.append((text, payload))
        else:
            self._session.cut()

    def receive(self, text: str) -> None:
        """Handle auth, ping, subscribe and unsubscribe; nothing after a refusal that closes."""
        if self._is_refused:
            return
        request = read_request(text)
        if request is None:
            self._answer({}, "", is_ok=False, message="Invalid JSON")
            return
        operation = operation_of(request)
        if operation == "ping":
            self._pong(request)
        elif operation == "auth":
            self._authenticate(request)
        elif operation not in {"subscribe", "unsubscribe"}:
            self._answer(request, operation, is_ok=False, message=_UNKNOWN_PRIVATE_OP)
        elif self._account is None:
            self._refuse(request, operation, "Request not authorized: auth first")
        elif operation == "subscribe":
            self._subscribe(request)
        else:
            self._unsubscribe(request)

    def close(self) -> None:
        """Stop hearing events."""
        if self._account is not None:
            self._feeds.leave(self._account.account_id, self)

    def _authenticate(self, request: Mapping[str, object]) -> None:
        try:
            account = authenticate(
                request,
                self._accounts,
                now_ms=self._now_ms(),
                address=self._session.address,
            )
        except VenueReject as e:
            self._refuse(request, "auth", e.message)
            return
        if self._account is not None and self._account is not account:
            self._refuse(request, "auth", "already authenticated with another key")
            return
        self._account = account
        self._feeds.join(account.account_id, self)
        self._answer(request, "auth", is_ok=True, message="")

    def _subscribe(self, request: Mapping[str, object]) -> None:
        topics = topic_list(request)
        if topics is None:
            self._answer(request, "subscribe", is_ok=False, message=_INVALID_ARGS)
            return
        unknown = [topic for topic in topics if topic not in TOPICS]
        if unknown or _is_doubled(topics):
            message = f"Invalid topic: {(unknown or topics)[0][:64]}"
            self._answer(request, "subscribe", is_ok=False, message=message)
            return
        self._answer(request, "subscribe", is_ok=True, message="")
        fresh = [topic for topic in dict.fromkeys(topics) if topic not in self.topics]
        for topic in fresh:
            self.topics[topic] = None
            self._waiting[topic] = self._waiting.get(topic, 0) + 1
        self._session.later(lambda: self._start(fresh))

    # Runs right after the ack: what happened to these topics meanwhile goes out now, in order.
    def _start(self, topics: list[str]) -> None:
        for topic in topics:
            self._waiting[topic] -= 1
            if not self._waiting[topic]:
                del self._waiting[topic]
        held, self._held = self._held, []
        for text, payload in held:
            self.deliver(payload, text)

    def _unsubscribe(self, request: Mapping[str, object]) -> None:
        topics = topic_list(request)
        if topics is None:
            self._answer(request, "unsubscribe", is_ok=False, message=_INVALID_ARGS)
            return
        for topic in topics:
            self.topics.pop(topic, None)
        self._held = [item for item in self._held if item[0] in self.topics]
        self._answer(request, "unsubscribe", is_ok=True, message="")

    def _pong(self, request: Mapping[str, object]) -> None:
        frame: Row = {
            "op": "pong",
            "args": [str(self._now_ms())],
            "conn_id": self._session.connection_id,
        }
        given = request_id(request, "req_id")
        if given is not None:
            frame["req_id"] = given
        self._session.push(encode(frame))

    def _refuse(self, request: Mapping[str, object], operation: str, message: str) -> None:
        self._is_refused = True
        self._answer(request, operation, is_ok=False, message=message)
        self._session.later(self._session.finish)

    def _answer(
        self, request: Mapping[str, object], operation: str, *, is_ok: bool, message: str
    ) -> None:
        frame: Row = {
            "success": is_ok,
            "ret_msg": message,
            "op": operation,
            "conn_id": self._session.connection_id,
        }
        given = request_id(request, "req_id")
        if given is not None:
            frame["req_id"] = given
        self._session.later_push(encode(frame))


# Whether an all-in-one topic and its per-category form stand in the same request.
def _is_doubled(topics: list[str]) -> bool:
    return any(
        f"{topic}.{category}" in topics
        for topic in topics
        for category in ("linear", "spot", "inverse", "option")
    )
