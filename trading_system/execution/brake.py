"""What stops trading and outlives the process: holds, latched in the journal, and loss limits."""

from __future__ import annotations

from decimal import Decimal

import structlog

from trading_system.domain.ports import Clock
from trading_system.execution.journal.records import Latch
from trading_system.execution.journal.store import Journal
from trading_system.risk.holds import Holds
from trading_system.risk.limits import TradingState
from trading_system.risk.losses import LossBreach, LossGuard, LossState

LOSS_LIMIT = "loss-limit"
OPERATOR = "operator"
JOURNAL = "journal"

_LOG = structlog.get_logger(__name__)
_NOTE_PEAK_NS = 60_000_000_000


class Brake:
    """Sets holds, records the latched ones, and watches losses and the journal itself.

    A hold is in force before anything is written: it also holds when the journal is broken.

    Parameters
    ----------
    holds : Holds
        Where every source's say is kept.
    losses : LossGuard
        Judge of the equity.
    journal : Journal
        Where latches and loss references survive.
    clock : Clock
        Days and the pace of records.
    """

    def __init__(self, *, holds: Holds, losses: LossGuard, journal: Journal, clock: Clock) -> None:
        self.holds = holds
        self.losses = losses
        self._journal = journal
        self._clock = clock
        self._noted: LossState | None = None
        self._noted_ns = 0

    def restore(self) -> tuple[str, ...]:
        """Put into force what earlier runs latched; return the sources."""
        latches = self._journal.latches()
        for source, latch in latches.items():
            self.holds.set(source, latch.state, latch.reason)
            _LOG.warning("hold of an earlier run", source=source, reason=latch.reason)
        self.losses.state = self._noted = self._journal.limits()
        return tuple(latches)

    def latch(self, source: str, state: TradingState, reason: str) -> None:
        """Hold trading until :meth:`release`, restarts included."""
        # What the operator asked for is no fault; a kill and a loss limit stay loud.
        is_asked = source == OPERATOR and state is TradingState.REDUCING
        say = _LOG.warning if is_asked else _LOG.error
        say("trading held", source=source, state=state.value, reason=reason)
        self.holds.set(source, state, reason)
        self._journal.note_latch(source, Latch(state=state, reason=reason))
        self.watch_journal()

    def release(self, source: str, *, reason: str) -> bool:
        """Lift the hold of ``source`` for good; return whether there was one.

        Lifting the loss limit also makes the newest equity the reference of both limits.
        """
        if source == LOSS_LIMIT:
            self.losses.reset()
        if not self.holds.clear(source):
            return False
        _LOG.warning("hold lifted", source=source, reason=reason)
        self._journal.note_latch(source, Latch(state=TradingState.ACTIVE, reason=reason))
        self.watch_journal()
        return True

    def check_losses(self, equity: Decimal) -> LossBreach | None:
        """Judge the newest equity; a breach is latched once and returned each time."""
        now_ns = self._clock.monotonic_ns()
        breach = self.losses.update(equity, self._clock.utc_ns())
        state, noted = self.losses.state, self._noted
        assert state is not None
        is_new_start = noted is None or (
            (state.utc_day, state.day_start_equity) != (noted.utc_day, noted.day_start_equity)
        )
        is_due = now_ns - self._noted_ns >= _NOTE_PEAK_NS
        if state != noted and (is_new_start or is_due):
            self._noted, self._noted_ns = state, now_ns
            self._journal.note_limits(state)
            self.watch_journal()
        if breach is not None and self.holds.get(LOSS_LIMIT) is None:
            self.latch(LOSS_LIMIT, TradingState.REDUCING, breach.reason)
        return breach

    def watch_journal(self) -> None:
        """Hold trading while the journal cannot be written, as far as is known."""
        failure = self._journal.failure
        if failure is not None and self.holds.get(JOURNAL) is None:
            self.holds.set(JOURNAL, TradingState.HALTED, failure)

    def check_journal(self) -> bool:
        """Find out whether the journal can be written and hold or go on accordingly."""
        is_sound = self._journal.probe()
        if is_sound:
            self.holds.clear(JOURNAL)
        else:
            self.watch_journal()
        return is_sound
