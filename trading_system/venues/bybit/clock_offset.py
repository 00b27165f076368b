"""How far the venue's clock is ahead of this machine's, from requests for its time.

A sample bounds the truth: the venue read its clock after the request left and before the answer
came, so half of that time is the most by which the middle can be wrong. The sample with the least
bound counts; bounds widen with age, because two clocks drift. Samples refer to the monotonic clock,
which nobody sets: when the machine's UTC clock is set (by NTP, by hand, for a leap second), the
offset follows at once and request stamps stay right. What UTC did against monotonic time is seen
by :attr:`VenueClock.has_moved`.

When two samples in a row cannot be true together with the old ones, but can with each other, the
venue's clock was set, or this machine slept and its monotonic clock stood still: then only these
two count. One alone may come from a server of the venue whose clock is wrong.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import msgspec

from trading_system.domain.errors import CorruptDataError
from trading_system.domain.ports import Clock
from trading_system.venues.bybit import market_rows, wire

TIME_PATH = "/v5/market/time"
"""The request for the venue's clock."""

_WINDOW = 32
_MAX_AGE_NS = 1_800_000_000_000
# Two free clocks part by less: 50 parts per million, ten times what quartz usually does.
_DRIFT_PPM = 50
_MILLION = 1_000_000
_STEP_NS = 50_000_000
_MAX_DIGITS = 20
_NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSample:
    """One reading of the venue's clock, nanoseconds.

    Parameters
    ----------
    taken_ns : int
        Monotonic time in the middle of the request.
    ahead_ns : int
        The venue's UTC minus that monotonic time.
    bound_ns : int
        Largest error of ``ahead_ns`` when it was taken: half of the round trip.
    """

    taken_ns: int
    ahead_ns: int
    bound_ns: int

    def bound_at(self, now_ns: int) -> int:
        """Return the largest error at ``now_ns``, drift included."""
        return self.bound_ns + abs(now_ns - self.taken_ns) * _DRIFT_PPM // _MILLION

    def contradicts(self, other: ClockSample, *, now_ns: int) -> bool:
        """Return whether both cannot be true of two clocks that only drift."""
        apart_ns = abs(self.ahead_ns - other.ahead_ns)
        return apart_ns > self.bound_at(now_ns) + other.bound_at(now_ns)


class VenueClock:
    """The venue's clock as seen from here.

    Parameters
    ----------
    clock : Clock
        The machine's clocks.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._samples: deque[ClockSample] = deque(maxlen=_WINDOW)
        self._odd: ClockSample | None = None
        self._is_doubted = False
        self._utc_ahead_ns = self._machine_ahead_ns()
        self.steps = 0

    @property
    def samples(self) -> int:
        """Samples that count now."""
        return len(self._samples)

    @property
    def offset_ns(self) -> int:
        """The venue's clock minus this machine's UTC clock now; 0 before the first sample."""
        best = self._best()
        return 0 if best is None else best.ahead_ns - self._machine_ahead_ns()

    @property
    def bound_ns(self) -> int | None:
        """Largest error of :attr:`offset_ns`, None before the first sample."""
        best = self._best()
        return None if best is None else best.bound_at(self._clock.monotonic_ns())

    @property
    def has_moved(self) -> bool:
        """Whether this machine's UTC clock was set, or it slept, since the newest sample.

        Both show as more than 50 ms between UTC and monotonic time; only a new sample tells which.
        """
        return abs(self._machine_ahead_ns() - self._utc_ahead_ns) > _STEP_NS

    @property
    def is_in_doubt(self) -> bool:
        """Whether it should be measured again: a stamp came late, or one sample contradicts."""
        return self._is_doubted or self._odd is not None

    def doubt(self) -> None:
        """Note that the venue refused a stamp; the next sample that is believed ends the doubt."""
        self._is_doubted = True

    def read(self, result: msgspec.Raw, *, called_ns: int, response_ms: float) -> None:
        """Take a sample from the answer to :data:`TIME_PATH`, which has just come.

        Parameters
        ----------
        result : msgspec.Raw
            Its ``result``.
        called_ns : int
            Monotonic time of the call.
        response_ms : float
            Time since the request left the queue and this machine: waiting tells nothing.

        Raises
        ------
        CorruptDataError
            If it holds no time.
        """
        back_ns = self._clock.monotonic_ns()
        text = wire.decode(result, market_rows.TIME, what="server time").time_nano
        if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
            raise CorruptDataError(f"server time: not a number: {text[:40]!r}")
        sent_ns = max(called_ns, back_ns - round(response_ms * _NS_PER_MS))
        self.note(sent_ns=sent_ns, back_ns=back_ns, server_ns=int(text))

    def note(self, *, sent_ns: int, back_ns: int, server_ns: int) -> None:
        """Take one sample.

        Parameters
        ----------
        sent_ns, back_ns : int
            Monotonic time when the request left and when its answer was there.
        server_ns : int
            The venue's UTC clock in the answer, epoch nanoseconds.

        Raises
        ------
        CorruptDataError
            If the answer came before the request.
        """
        if back_ns < sent_ns:
            raise CorruptDataError(f"an answer {sent_ns - back_ns} ns before its request")
        middle_ns = (sent_ns + back_ns) // 2
        sample = ClockSample(
            taken_ns=middle_ns,
            ahead_ns=server_ns - middle_ns,
            bound_ns=(back_ns - sent_ns + 1) // 2,
        )
        if self._is_odd(sample, now_ns=back_ns):
            if self._odd is None or sample.contradicts(self._odd, now_ns=back_ns):
                self._odd = sample
                return
            self.steps += 1
            self._samples.clear()
            self._samples.append(self._odd)
        self._samples.append(sample)
        self._odd, self._is_doubted = None, False
        self._utc_ahead_ns = self._machine_ahead_ns()

    def _is_odd(self, sample: ClockSample, *, now_ns: int) -> bool:
        best = self._best()
        return best is not None and sample.contradicts(best, now_ns=now_ns)

    def _best(self) -> ClockSample | None:
        now_ns = self._clock.monotonic_ns()
        while len(self._samples) > 1 and now_ns - self._samples[0].taken_ns > _MAX_AGE_NS:
            self._samples.popleft()
        return min(self._samples, key=lambda sample: sample.bound_at(now_ns), default=None)

    def _machine_ahead_ns(self) -> int:
        return self._clock.utc_ns() - self._clock.monotonic_ns()
