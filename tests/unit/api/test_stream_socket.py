"""Streams over real sockets: subscribe, be told, be cut off, end with the server."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from control_desk import FakeControl
from inspection import FakeInspection, full_status

from trading_system.api.address import ApiAddress, read_address
from trading_system.api.server import control_api


class Control(FakeControl):
    def get_system_status(self) -> dict[str, Any]:
        return full_status()


class Served:
    def __init__(self, address: ApiAddress, session: aiohttp.ClientSession) -> None:
        self.address = address
        self.session = session

    async def open(self, *topics: str) -> aiohttp.ClientWebSocketResponse:
        headers = {"Authorization": f"Bearer {self.address.read_token}"}
        socket = await self.session.ws_connect(f"{self.address.url}/stream", headers=headers)
        if topics:
            await socket.send_json({"subscribe": list(topics)})
        return socket


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    control = Control()
    async with (
        control_api(
            control, control, FakeInspection(), host="127.0.0.1", port=0, data_dir=tmp_path
        ),
        aiohttp.ClientSession() as session,
    ):
        address = read_address(tmp_path)
        assert address is not None
        yield Served(address, session)


async def test_a_subscriber_is_told(served: Served) -> None:
    async with await served.open("status", "market:BTCUSDT") as socket:
        frames = [json.loads((await socket.receive(2)).data) for _ in range(2)]
    assert {frame["topic"] for frame in frames} == {"status", "market:BTCUSDT"}
    assert {type(frame["time_ms"]) for frame in frames} == {int}


@pytest.mark.parametrize(
    "message",
    [
        "{",
        "[]",
        "5",
        "[" * 2000,
        '{"subscribe":"status"}',
        '{"subscribe":[1]}',
        '{"subscribe":["nothing"]}',
        '{"subscribe":["market:NOSUCH"]}',
        '{"subscribe":["status"],"more":1}',
        json.dumps({"subscribe": ["status"] * 33}),
    ],
)
async def test_a_refused_message_leaves_the_stream_open(served: Served, message: str) -> None:
    async with await served.open() as socket:
        await socket.send_str(message)
        assert json.loads((await socket.receive(2)).data)["error"]
        await socket.send_json({"subscribe": ["alerts"]})
        assert json.loads((await socket.receive(2)).data)["topic"] == "alerts"


async def test_bytes_are_not_understood(served: Served) -> None:
    async with await served.open() as socket:
        await socket.send_bytes(b'{"subscribe":["status"]}')
        await socket.receive(2)
        assert socket.close_code == 1003


async def test_too_large_a_message_closes(served: Served) -> None:
    async with await served.open() as socket:
        await socket.send_str("x" * 5000)
        await socket.receive(2)
        assert socket.close_code == 1009


async def test_a_flood_of_messages_closes(served: Served) -> None:
    async with await served.open() as socket:
        for _ in range(40):
            await socket.send_str("{}")
        while (await socket.receive(2)).type is aiohttp.WSMsgType.TEXT:
            pass
        assert socket.close_code == 1008


async def test_the_17th_stream_waits_for_a_place(served: Served) -> None:
    sockets = [await served.open() for _ in range(16)]
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await served.open()
    assert refused.value.status == 503
    await sockets[0].close()
    async with asyncio.timeout(5):
        while True:
            try:
                sockets[0] = await served.open()
                break
            except aiohttp.WSServerHandshakeError:
                continue
    for socket in sockets:
        await socket.close()


async def test_the_server_ends_within_two_seconds_under_open_streams(tmp_path: Path) -> None:
    control, loop = Control(), asyncio.get_running_loop()
    async with aiohttp.ClientSession() as session:
        async with control_api(
            control, control, FakeInspection(), host="127.0.0.1", port=0, data_dir=tmp_path
        ):
            address = read_address(tmp_path)
            assert address is not None
            served = Served(address, session)
            told = await served.open("status")
            await told.receive(2)
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", int(address.url.rpartition(":")[2])
            )
            writer.write(b"GET /status HTTP/1.1\r\n")  # a head that never ends
            await writer.drain()
            began = loop.time()
        assert loop.time() - began < 2.0
        while (last := await told.receive(2)).type is aiohttp.WSMsgType.TEXT:
            pass
        assert (last.type, last.data) == (aiohttp.WSMsgType.CLOSE, 1012)
        assert await reader.read() == b""
        writer.close()
    assert list(tmp_path.iterdir()) == []
