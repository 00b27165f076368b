import asyncio

from trading_system.simulation.bybit_server.options import ServerOptions
from trading_system.simulation.bybit_server.session import Session


class FakeSocket:
    def __init__(self):
        self.sent = []
        self.is_closed = False

    async def send_frame(self, payload, kind):
        self.sent.append(payload)

    async def close(self):
        self.is_closed = True


class StuckSocket(FakeSocket):
    async def send_frame(self, payload, kind):
        await asyncio.Event().wait()


def make(**options):
    cuts = []
    session = Session("c1", options=ServerOptions(**options), abort=lambda: cuts.append(1))
    return session, cuts


async def drain(session, socket):
    async with asyncio.timeout(2):
        await session.write(socket)


async def test_delayed_work_keeps_its_order_and_does_not_hold_up_other_frames():
    session, _ = make(ack_delay_ms=5)
    socket = FakeSocket()
    session.later_push(b"ack-1")
    session.later(lambda: session.later_push(b"ack-3"))
    session.later_push(b"ack-2")
    session.later(lambda: session.later(session.finish))
    session.push(b"now")
    await drain(session, socket)
    assert socket.sent == [b"now", b"ack-1", b"ack-2", b"ack-3"]


async def test_work_delayed_by_delayed_work_does_not_multiply_timers():
    session, _ = make(ack_delay_ms=1)
    runs = []

    def again():
        runs.append(1)
        if len(runs) < 10:
            session.later(again)
        else:
            session.finish()

    session.later(again)
    await drain(session, FakeSocket())
    assert len(runs) == 10


async def test_client_that_takes_nothing_is_cut_at_the_bound():
    session, cuts = make(max_outbox_bytes=1000)
    async with asyncio.TaskGroup() as group:
        writing = group.create_task(session.write(StuckSocket()))
        for _ in range(10):
            session.push(b"x" * 100)
        assert cuts == []
        session.push(b"x")
        assert (cuts, session.is_closed) == ([1], True)
        writing.cancel()


async def test_finish_sends_what_is_queued_and_then_closes():
    session, cuts = make()
    socket = FakeSocket()
    session.push(b"last")
    session.finish()
    session.push(b"too late")
    await drain(session, socket)
    assert (socket.sent, socket.is_closed, cuts) == ([b"last"], True, [1])


async def test_endless_delayed_work_is_bounded():
    session, cuts = make(ack_delay_ms=1000)
    for _ in range(10_001):
        session.later_push(b"")
    assert cuts == [1]
