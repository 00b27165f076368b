"""Which subscriptions stand: one answer per argument, refusals named, renewals one by one.

OKX answers a request for several arguments once per argument, and its errors do not say which
argument they are about. So after an error the open ones are asked for one at a time.
"""

from __future__ import annotations

from collections.abc import Sequence

from trading_system.domain.errors import CorruptDataError, ValidationError
from trading_system.domain.ports import Clock
from trading_system.runtime.limiter import SlidingWindow
from trading_system.venues.okx.wire import Envelope, OkxArg, request

_MAX_ARGS_BYTES = 64 * 1024
_REQUESTS_PER_HOUR = 480
_HOUR_S = 3_600.0
_ALL = "all"
_RENEWAL_S = 10.0
_NS_PER_S = 1_000_000_000

DEFINITE_CODES = frozenset({"60008", "60011", "60018", "64003"})
"""Refusals that a new attempt cannot change: endpoint, log-in, channel or instrument, fee tier."""

_HINTS = {
    "60008": "this endpoint does not carry the channel",
    "60011": "the channel needs a log-in",
    "60014": "too many requests",
    "60018": "OKX knows no such channel or instrument",
    "64003": "the channel needs a higher fee tier; choose books or books5",
}


class Subscriptions:
    """The arguments of one connection.

    Parameters
    ----------
    args : Sequence[OkxArg]
        Everything to subscribe, in order.
    clock : Clock
        Source of the request budget's time.

    Raises
    ------
    ValidationError
        If the arguments are longer than OKX takes in one request.
    """

    def __init__(self, args: Sequence[OkxArg], *, clock: Clock) -> None:
        self._args = list(args)
        if len(request("subscribe", self._args, name=_ALL)) > _MAX_ARGS_BYTES:
            raise ValidationError(f"more than {_MAX_ARGS_BYTES} bytes of subscriptions")
        self._clock = clock
        self._budget = self._fresh_budget()
        self._open: list[OkxArg] = []
        self._is_single = False
        self._renewing: dict[OkxArg, int] = {}
        self._awaits_end: set[OkxArg] = set()
        self.refused: dict[OkxArg, tuple[str, str]] = {}

    def start(self) -> str:
        """Return the request for everything on a new connection."""
        self._budget = self._fresh_budget()
        self._open = list(self._args)
        self._is_single = False
        self._renewing.clear()
        self._awaits_end.clear()
        self.refused.clear()
        self._spend()
        return request("subscribe", self._args, name=_ALL)

    @property
    def are_complete(self) -> bool:
        """Whether nothing is left to be answered."""
        return not self._open

    def is_renewing(self, arg: OkxArg) -> bool:
        """Whether what comes for ``arg`` still belongs to the subscription being ended."""
        return bool(self._renewing) and _key(arg) in self._renewing

    def renew(self, arg: OkxArg) -> str:
        """Return the request that begins to subscribe ``arg`` anew.

        Raises
        ------
        CorruptDataError
            If the connection's budget of requests is used up.
        """
        arg = _key(arg)
        self._renewing[arg] = self._clock.monotonic_ns()
        self._awaits_end.add(arg)
        self._spend()
        return request("unsubscribe", [arg], name=f"u{self._args.index(arg)}")

    def check(self) -> None:
        """Raise CorruptDataError if a renewal has taken longer than 10 s."""
        now_ns = self._clock.monotonic_ns()
        for arg, since_ns in self._renewing.items():
            if now_ns - since_ns > _RENEWAL_S * _NS_PER_S:
                raise CorruptDataError(f"renewal of {words(arg)} was not answered in time")

    def is_unasked_end(self, arg: OkxArg | None) -> bool:
        """Whether OKX ended ``arg``, or what it does not say, without being asked."""
        if arg is None:
            return not self._awaits_end
        arg = _key(arg)
        return arg in self._args and arg not in self._open and arg not in self._awaits_end

    def resume(self, arg: OkxArg) -> str:
        """Return the request that subscribes ``arg``, which OKX has ended, once more.

        Raises
        ------
        CorruptDataError
            If the connection's budget of requests is used up.
        """
        arg = _key(arg)
        self._renewing[arg] = self._clock.monotonic_ns()
        self._spend()
        return request("subscribe", [arg], name=f"r{self._args.index(arg)}")

    def confirmed(self, arg: OkxArg | None) -> str | None:
        """Take an answer to ``subscribe``; return the next request if there is one."""
        if arg is None:
            raise CorruptDataError("a subscription was confirmed without saying which")
        arg = _key(arg)
        if arg not in self._awaits_end:
            self._renewing.pop(arg, None)
        if arg not in self._open:
            return None
        was_first = self._open[0] == arg
        self._open.remove(arg)
        return self._next() if self._is_single and was_first else None

    def ended(self, arg: OkxArg | None) -> str | None:
        """Take an answer to ``unsubscribe``; return the request that follows a renewal."""
        if arg is None or (arg := _key(arg)) not in self._awaits_end:
            return None
        self._awaits_end.discard(arg)
        self._spend()
        return request("subscribe", [arg], name=f"r{self._args.index(arg)}")

    def failed(self, envelope: Envelope) -> str | None:
        """Take an error; return the next request if there is one.

        Raises
        ------
        CorruptDataError
            If a renewal was refused.
        """
        text = explain(envelope)
        named, kind = self._named(envelope.id), envelope.id[:1]
        if named is not None and kind == "r":
            raise CorruptDataError(f"renewal of {words(named)} refused: {text}")
        if named is not None and kind == "u":
            return self.ended(named)  # it was not subscribed: the renewal goes on
        if not self._open:
            raise CorruptDataError(f"error without a request: {text}")
        if not self._is_single and len(self._open) > 1:
            self._is_single = True
            return self._next()
        if self._is_single and envelope.id == _ALL:
            return None  # a further error of the request for everything
        if named is not None and named not in self._open:
            return None  # confirmed since
        refused = self._open[0] if named is None else named
        self._open.remove(refused)
        self.refused[refused] = (envelope.code, text)
        return self._next()

    def _next(self) -> str | None:
        if not self._open:
            return None
        self._spend()
        arg = self._open[0]
        return request("subscribe", [arg], name=f"s{self._args.index(arg)}")

    def _named(self, name: str) -> OkxArg | None:
        number = name[1:]
        if not (number.isascii() and number.isdigit() and len(number) <= 6):
            return None
        return self._args[int(number)] if int(number) < len(self._args) else None

    def _spend(self) -> None:
        if not self._budget.try_acquire():
            raise CorruptDataError(f"more than {_REQUESTS_PER_HOUR} subscriptions in an hour")

    def _fresh_budget(self) -> SlidingWindow:
        return SlidingWindow(_REQUESTS_PER_HOUR, window_s=_HOUR_S, clock=self._clock)


# What an argument is about, without what a server may add to it.
def _key(arg: OkxArg) -> OkxArg:
    return OkxArg(arg.channel, arg.instId) if arg.instId else arg


def words(arg: OkxArg) -> str:
    """Return an argument as text for people."""
    return f"{arg.channel[:40]} {(arg.instId or arg.instType)[:40]}"


def explain(envelope: Envelope) -> str:
    """Return an error's code, OKX's text and what it means."""
    hint = _HINTS.get(envelope.code)
    text = f"{envelope.code[:10]} {envelope.msg[:200]}".strip()
    return f"{text} ({hint})" if hint else text
