"""Logins of the dashboard: one-time links, sessions, and the control token of each.

Everything lives in this process's memory and ends with it. A code or session id is kept as its
SHA-256 only and compared in fixed time, so neither memory nor timing gives one away.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import deque
from dataclasses import dataclass
from typing import Final

from typing_extensions import override

from trading_system.domain.ports import Clock

LINK_S: Final = 600.0
"""Life of a login link, seconds."""

MAX_SESSIONS: Final = 32
"""Logins at a time; the oldest ends when one more comes."""

_MAX_LINKS: Final = 8
_MAX_FAILURES: Final = 5
_FAILURES_S: Final = 60.0
_NS_PER_S: Final = 1_000_000_000


@dataclass(slots=True, eq=False)
class Session:
    """One login. Its secrets never show in a text."""

    digest: bytes
    expires_ns: int
    control_token: str | None = None
    control_until_ns: int = 0

    @override
    def __repr__(self) -> str:
        return f"Session(has_control={self.control_token is not None})"


class Sessions:
    """Hands out one-time login links and keeps the logins made with them.

    Parameters
    ----------
    clock : Clock
        For expiry.
    session_s : float
        Life of a login, seconds.
    control_s : float
        Life of a typed control token, seconds.
    """

    def __init__(self, *, clock: Clock, session_s: float, control_s: float) -> None:
        self._clock = clock
        self._session_s = session_s
        self._control_s = control_s
        self._links: dict[bytes, int] = {}
        self._sessions: dict[bytes, Session] = {}
        self._failures: deque[int] = deque(maxlen=_MAX_FAILURES)

    def new_link(self) -> str:
        """Return a fresh code for one login within :data:`LINK_S`; the eighth before it ends."""
        code = secrets.token_urlsafe(32)
        self._drop_expired()
        while len(self._links) >= _MAX_LINKS:
            del self._links[next(iter(self._links))]
        self._links[_digest(code)] = self._after(LINK_S)
        return code

    @property
    def is_locked(self) -> bool:
        """Whether five logins failed within the last minute; none is looked at until it is over."""
        failures = self._failures
        since_ns = self._clock.monotonic_ns() - round(_FAILURES_S * _NS_PER_S)
        return len(failures) == _MAX_FAILURES and failures[0] > since_ns

    def failed(self) -> None:
        """Count a failed login."""
        self._failures.append(self._clock.monotonic_ns())

    def log_in(self, code: str) -> str | None:
        """Use up the link ``code`` and return a new session id, None (counted) if void."""
        self._drop_expired()
        digest = _digest(code)
        known = [one for one in self._links if hmac.compare_digest(one, digest)]
        if not known:
            self.failed()
            return None
        del self._links[known[0]]
        while len(self._sessions) >= MAX_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        session_id = secrets.token_urlsafe(32)
        session = Session(_digest(session_id), self._after(self._session_s))
        self._sessions[session.digest] = session
        return session_id

    def find(self, session_id: str) -> Session | None:
        """Return the standing login of ``session_id``."""
        self._drop_expired()
        digest = _digest(session_id)
        known = [one for one in self._sessions if hmac.compare_digest(one, digest)]
        return self._sessions[known[0]] if known else None

    def is_alive(self, session: Session) -> bool:
        """Return whether ``session`` still stands."""
        return (
            self._sessions.get(session.digest) is session
            and session.expires_ns > self._clock.monotonic_ns()
        )

    def log_out(self, session: Session) -> None:
        """End ``session`` now, its control included."""
        self.take_control(session)
        self._sessions.pop(session.digest, None)

    def give_control(self, session: Session, token: str) -> None:
        """Keep the confirmed control ``token`` for this login for as long as the setting says."""
        session.control_token = token
        session.control_until_ns = self._after(self._control_s)

    def take_control(self, session: Session) -> None:
        """Forget the control token of this login."""
        session.control_token = None
        session.control_until_ns = 0

    def control_left_s(self, session: Session) -> float:
        """Return for how long the control token still counts, seconds; 0 without one."""
        if session.control_token is None or not self.is_alive(session):
            return 0.0
        left_ns = session.control_until_ns - self._clock.monotonic_ns()
        return max(0.0, left_ns / _NS_PER_S)

    def control_token(self, session: Session) -> str | None:
        """Return the control token of this login while it counts; afterwards it is forgotten."""
        if self.control_left_s(session) > 0:
            return session.control_token
        self.take_control(session)
        return None

    def _after(self, seconds: float) -> int:
        return self._clock.monotonic_ns() + round(seconds * _NS_PER_S)

    def _drop_expired(self) -> None:
        now_ns = self._clock.monotonic_ns()
        self._links = {key: end for key, end in self._links.items() if end > now_ns}
        self._sessions = {k: s for k, s in self._sessions.items() if s.expires_ns > now_ns}


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()
