"""What a link counts: the payload of every frame, both ways, pings included."""

import asyncio

from bybit_rig import FAST, StreamVenue, alive, becomes_true, jitter

from trading_system.runtime.clock import SystemClock
from trading_system.venues.link import Heartbeat, Link, LinkView

PING = '{"op":"ping"}'
HELLO = '{"op":"auth","reqId":"auth"}'


class Echo(LinkView):
    """Says hello, and answers a log-in with one subscription."""

    def __init__(self, url, ping):
        heartbeat = Heartbeat(venue="test", ping=ping)
        self._link = Link(
            url, self, clock=SystemClock(), jitter=jitter(), heartbeat=heartbeat, timing=FAST
        )
        self.frames = []

    async def run(self):
        await self._link.run()

    def opened(self):
        return HELLO

    def received(self, frame, received_ns):
        del received_ns
        self.frames.append(frame)
        if b"auth" in frame:
            return '{"op":"subscribe","req_id":"1","args":[]}'
        return None

    def closed(self, reason):
        pass


async def test_the_payload_of_every_frame_is_counted_both_ways():
    venue = StreamVenue()
    venue.frames = ['{"topic":"a","data":"é"}']
    async with venue.running() as url:
        echo = Echo(url, None)
        assert (echo.bytes_received, echo.bytes_sent) == (0, 0)
        async with alive(echo):
            await becomes_true(lambda: len(echo.frames) == 3)
            assert echo.bytes_received == sum(map(len, echo.frames))
            assert echo.bytes_sent == len(HELLO) + len('{"op":"subscribe","req_id":"1","args":[]}')


async def test_pings_count_and_a_new_connection_adds_to_the_old_ones_bytes():
    venue = StreamVenue()
    venue.is_mute = True
    async with venue.running() as url:
        echo = Echo(url, PING)
        async with alive(echo):
            await becomes_true(lambda: len(venue.requests) == 2)
            assert echo.bytes_sent == len(HELLO) + len(PING)
            await venue.sockets[0].close()
            async with asyncio.timeout(5):
                await becomes_true(lambda: len(venue.requests) == 4)
            assert echo.bytes_sent == 2 * (len(HELLO) + len(PING))
    assert echo.bytes_received == 0
