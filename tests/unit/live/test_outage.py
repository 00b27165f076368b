from collections.abc import Coroutine
from typing import Any

from trading_system.live.outage import OutageWatch
from trading_system.risk.holds import Holds
from trading_system.risk.limits import TradingState
from trading_system.runtime.clock import ManualClock

PRIVATE, PUBLIC, PROCESS = "private stream", "market data", "venue process"


class Watched:
    """A watch whose recovery answers what the test says, run by hand."""

    def __init__(self, *answers: bool) -> None:
        self.holds = Holds()
        self.answers = list(answers)
        self.work: list[Coroutine[Any, Any, None]] = []
        self.interrupt: str | None = None
        self.clock = ManualClock()
        self.offset_ns = 0
        self.watch = OutageWatch(
            self.holds,
            recover=self.recover,
            spawn=lambda _name, coroutine: self.work.append(coroutine),
            venue_ns=self.venue_ns,
            poll=self.poll,
            pause=self.pause,
        )
        self.pauses = 0
        self.polls_until_up = 0

    def venue_ns(self) -> int:
        return self.clock.utc_ns() + self.offset_ns

    async def pause(self, _seconds: float) -> None:
        self.pauses += 1

    async def poll(self) -> bool:
        if self.watch.polls > self.polls_until_up:
            self.watch.up(PRIVATE)
        return True

    async def recover(self) -> bool:
        if self.interrupt is not None:
            part, self.interrupt = self.interrupt, None
            self.watch.down(part, "again")
            self.watch.up(part)
        return self.answers.pop(0)

    async def run(self) -> None:
        while self.work:
            await self.work.pop(0)


async def test_the_first_connection_is_no_recovery() -> None:
    watched = Watched()
    watched.watch.up(PRIVATE)
    assert watched.work == []
    assert watched.holds.state is TradingState.ACTIVE


async def test_without_the_private_stream_only_reducing_is_allowed() -> None:
    watched = Watched(True)
    watched.watch.down(PRIVATE, "reset")
    assert watched.holds.state is TradingState.REDUCING
    assert watched.holds.reasons == {"venue": "lost private stream: reset"}
    watched.watch.up(PRIVATE)
    assert watched.holds.state is TradingState.REDUCING  # not reconciled yet
    await watched.run()
    assert watched.holds.state is TradingState.ACTIVE
    assert watched.watch.since_ns is None


async def test_without_market_data_or_venue_nothing_is_allowed() -> None:
    watched = Watched(True)
    watched.watch.down(PROCESS, "died")
    watched.watch.down(PRIVATE, "reset")
    assert watched.holds.state is TradingState.HALTED
    watched.watch.up(PROCESS)
    # Nothing was compared yet: the venue that came back may have lost its memory.
    assert watched.holds.state is TradingState.HALTED
    watched.watch.up(PRIVATE)
    await watched.run()
    assert watched.holds.state is TradingState.ACTIVE
    assert watched.watch.outages == 1


async def test_what_was_read_before_another_loss_proves_nothing() -> None:
    watched = Watched(True, True)
    watched.watch.down(PUBLIC, "reset")
    watched.watch.up(PUBLIC)
    watched.interrupt = PRIVATE
    await watched.run()
    assert watched.answers == []
    assert watched.holds.state is TradingState.ACTIVE


async def test_the_hold_stays_while_the_loss_lasts() -> None:
    watched = Watched(True)
    watched.watch.down(PUBLIC, "reset")
    watched.watch.up(PUBLIC)
    watched.watch.down(PUBLIC, "reset")
    await watched.run()
    assert watched.holds.state is TradingState.HALTED
    assert not watched.watch.is_over


async def test_reconciling_is_tried_until_both_sides_agree() -> None:
    watched = Watched(False, False, True)
    watched.watch.down(PUBLIC, "reset")
    watched.watch.up(PUBLIC)
    await watched.run()
    assert watched.pauses == 2
    assert watched.holds.state is TradingState.ACTIVE


async def test_while_only_the_private_stream_is_down_the_account_is_polled() -> None:
    watched = Watched(True)
    watched.polls_until_up = 3
    watched.watch.down(PRIVATE, "reset")
    watched.watch.down(PRIVATE, "still")
    assert len(watched.work) == 1
    await watched.run()
    assert watched.watch.polls == 4
    assert watched.holds.state is TradingState.ACTIVE


async def test_polling_ends_when_more_is_down() -> None:
    watched = Watched()
    watched.watch.down(PRIVATE, "reset")
    watched.watch.down(PUBLIC, "reset")
    await watched.run()
    assert watched.watch.polls == 0
    assert watched.holds.state is TradingState.HALTED


async def test_what_was_missed_begins_with_the_last_frame_not_with_the_detection() -> None:
    watched = Watched()
    now_ns = watched.clock.utc_ns()
    watched.watch.down(PUBLIC, "reset")
    assert watched.watch.since_ns == now_ns
    watched.watch.down(PRIVATE, "half open", silent_s=20.0)
    assert watched.watch.since_ns == now_ns - 20_000_000_000
    watched.watch.down(PRIVATE, "again", silent_s=1.0)
    assert watched.watch.since_ns == now_ns - 20_000_000_000


async def test_a_clock_that_is_set_during_an_outage_does_not_shift_its_beginning() -> None:
    watched = Watched()
    began_ns, step_ns = watched.clock.utc_ns(), 20_000_000_000
    watched.watch.down(PUBLIC, "reset")
    watched.clock.set_utc_ns(began_ns - step_ns)
    watched.offset_ns = step_ns
    watched.clock.advance(1)
    watched.watch.down(PUBLIC, "again")
    assert watched.watch.since_ns == began_ns
