import asyncio

from trading_system.runtime.clock import SystemClock
from trading_system.simulation.bybit_server.line import Line
from trading_system.simulation.bybit_server.options import ServerOptions
from trading_system.simulation.bybit_server.session import Session
from trading_system.simulation.faults.engine import FaultEngine
from trading_system.simulation.latency import latency_of


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


def make(latency=None, **options):
    cuts = []
    line = Line(None)
    line.abort = lambda: cuts.append(1)
    session = Session(
        "c1",
        options=ServerOptions(**options),
        line=line,
        path="/v5/public/linear",
        address="127.0.0.1",
        faults=FaultEngine(seed=1, clock=SystemClock()),
        latency=latency,
    )
    return session, cuts


class Jumpy:
    """Each frame would overtake the one before it."""

    is_none = False

    def __init__(self):
        self.way_s = 0.03

    def one_way_s(self):
        self.way_s = max(0.0, self.way_s - 0.01)
        return self.way_s


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


async def test_frames_keep_their_order_on_the_simulated_way():
    session, _ = make(latency=Jumpy())
    socket = FakeSocket()
    arrived = []

    def receive(number):
        arrived.append(number)
        session.push(b"%d" % number)
        if number == 3:
            session.finish()

    for number in (1, 2, 3):
        session.arrive(lambda number=number: receive(number))
    assert arrived == []
    await drain(session, socket)
    assert (arrived, socket.sent, socket.is_closed) == ([1, 2, 3], [b"1", b"2", b"3"], True)


async def test_what_a_client_sent_before_it_left_still_arrives():
    session, _ = make(latency=latency_of("retail", seed=1))
    arrived = []
    session.arrive(lambda: arrived.append("order"))
    session.arrive_all()
    session.cut()
    assert arrived == ["order"]


async def test_without_latency_frames_arrive_at_once():
    session, _ = make(latency=latency_of("none", seed=1))
    arrived = []
    session.arrive(lambda: arrived.append(1))
    assert arrived == [1]


async def test_endless_frames_under_way_are_bounded():
    session, cuts = make(latency=latency_of("retail", seed=1))
    for _ in range(10_001):
        session.arrive(lambda: None)
    assert cuts == [1]
    frames, cuts = make(latency=latency_of("retail", seed=1), max_outbox_bytes=1000)
    for _ in range(11):
        frames.push(b"x" * 100)
    assert cuts == [1]
