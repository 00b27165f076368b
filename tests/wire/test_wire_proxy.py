"""The proxy does what its conditions are named after, and nothing to bytes otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from wire_proxy import Way, Weather, WireProxy

from trading_system.simulation.faults.names import Fault

DOWN, UP = frozenset({Way.DOWN}), frozenset({Way.UP})
Wire = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_TIME_S = 5.0


@asynccontextmanager
async def echoing() -> AsyncIterator[tuple[WireProxy, Callable[[], Awaitable[Wire]]]]:
    """Run a proxy before a server that sends everything back; yield it and how to connect."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while chunk := await reader.read(65_536):
                writer.write(chunk)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    wires: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    try:
        async with WireProxy("127.0.0.1", server.sockets[0].getsockname()[1]) as proxy:

            async def connect() -> Wire:
                reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
                wires.append(writer)
                return reader, writer

            yield proxy, connect
            for writer in wires:
                writer.close()
    finally:
        server.close()


async def sends(wire: Wire, text: bytes) -> bytes:
    """Send ``text`` and return as many bytes of what comes back."""
    wire[1].write(text)
    async with asyncio.timeout(_TIME_S):
        return await wire[0].readexactly(len(text))


async def ends(wire: Wire) -> bool:
    """Return whether the connection ends by a reset."""
    try:
        async with asyncio.timeout(_TIME_S):
            return not await wire[0].read(65_536)
    except ConnectionError:
        return True


@pytest.mark.parametrize(
    "weather",
    [
        None,
        Weather(fault=Fault.SLICE, piece_bytes=7),
        Weather(fault=Fault.LATENCY, delay_s=0.01),
        Weather(fault=Fault.THROTTLE, bytes_per_s=100_000),
    ],
    ids=["clear", "slice", "latency", "throttle"],
)
async def test_bytes_arrive_whole_and_in_order_in_weather_that_loses_none(
    weather: Weather | None,
) -> None:
    async with echoing() as (proxy, connect):
        wire = await connect()
        if weather is not None:
            proxy.begin(weather)
        text = bytes(range(256)) * 4
        assert await sends(wire, text) == text
        assert proxy.passed == {Way.UP: len(text), Way.DOWN: len(text)}


async def test_latency_and_throttle_take_the_time_they_say() -> None:
    loop = asyncio.get_running_loop()
    async with echoing() as (proxy, connect):
        wire = await connect()
        for weather, least_s in (
            (Weather(fault=Fault.LATENCY, ways=UP, delay_s=0.05), 0.05),
            (Weather(fault=Fault.THROTTLE, ways=DOWN, bytes_per_s=1_000), 0.08),
        ):
            proxy.begin(weather)
            began = loop.time()
            await sends(wire, b"x" * 100)
            assert loop.time() - began >= least_s
            proxy.heal()


async def test_a_black_hole_takes_bytes_and_resets_their_connection_at_its_end() -> None:
    async with echoing() as (proxy, connect):
        old, quiet = await connect(), await connect()
        await sends(quiet, b"a")
        await sends(old, b"a")
        proxy.begin(Weather(fault=Fault.BLACKHOLE, ways=UP, spares_new=True))
        old[1].write(b"lost")
        new = await connect()
        assert await sends(new, b"whole") == b"whole"
        proxy.heal()
        assert await ends(old)
        assert await sends(quiet, b"b") == b"b"
        assert proxy.resets == 1


async def test_a_reset_ends_every_connection_and_new_ones_are_whole() -> None:
    async with echoing() as (proxy, connect):
        wires = [await connect(), await connect()]
        for wire in wires:
            await sends(wire, b"a")
        assert (proxy.open_connections, proxy.reset()) == (2, 2)
        assert [await ends(wire) for wire in wires] == [True, True]
        assert await sends(await connect(), b"b") == b"b"


async def test_refused_connections_are_counted() -> None:
    async with echoing() as (proxy, connect):
        proxy.begin(Weather(fault=Fault.REFUSE))
        assert await ends(await connect())
        proxy.heal()
        assert await sends(await connect(), b"a") == b"a"
        assert len(proxy.attempts_ns) == 2


async def test_a_cut_sends_half_a_chunk_and_resets() -> None:
    async with echoing() as (proxy, connect):
        wire = await connect()
        await sends(wire, b"a")
        assert proxy.cut() == 1
        wire[1].write(b"12345678")
        async with asyncio.timeout(_TIME_S):
            assert await wire[0].readexactly(4) == b"1234"
        assert await ends(wire)


async def test_a_spoiled_chunk_is_no_text_any_more_and_the_next_is_whole() -> None:
    async with echoing() as (proxy, connect):
        wire = await connect()
        proxy.begin(Weather(fault=Fault.CORRUPT, ways=DOWN))
        assert await sends(wire, b"12345678") == b"1234\xff\xff\xff\xff"
        assert await sends(wire, b"12345678") == b"12345678"


async def test_what_happens_once_is_no_condition() -> None:
    with pytest.raises(ValueError, match="does not last"):
        WireProxy("127.0.0.1", 1).begin(Weather(fault=Fault.RESET))
