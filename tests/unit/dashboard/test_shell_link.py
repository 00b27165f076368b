from __future__ import annotations

import asyncio
import json
import random
from contextlib import asynccontextmanager

import pytest
from aiohttp import WSMsgType, web

from trading_system.dashboard.link import ApiError, ApiLink
from trading_system.dashboard.store import Store
from trading_system.runtime.backoff import Backoff
from trading_system.runtime.clock import ManualClock

QUICK = Backoff(first_s=0.01, max_s=0.02, attempts=3)


class FakeApi:
    """A small control API on loopback: stream, one read, one command, two tokens."""

    def __init__(self, data_dir):
        self.data_dir = data_dir
        self.subscriptions = []
        self.sockets = []
        self.posts = []
        self.read_token = "read-1"
        self.frames = [{"topic": "status", "time_ms": 1, "data": {"state": "RUNNING"}}]

    @asynccontextmanager
    async def serving(self):
        app = web.Application()
        app.router.add_get("/stream", self.stream)
        app.router.add_get("/whoami", self.whoami)
        app.router.add_get("/equity", self.equity)
        app.router.add_get("/broken", self.broken)
        app.router.add_post("/pause", self.pause)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]
        content = {"url": f"http://127.0.0.1:{port}", "token": "control-1"}
        (self.data_dir / "api.json").write_text(
            json.dumps({**content, "read_token": self.read_token})
        )
        try:
            yield
        finally:
            (self.data_dir / "api.json").unlink()
            for socket in self.sockets:
                await socket.close()
            await runner.cleanup()

    def role(self, request):
        given = request.headers.get("Authorization", "")
        return {f"Bearer {self.read_token}": "read", "Bearer control-1": "control"}.get(given)

    async def stream(self, request):
        if self.role(request) is None:
            return web.json_response({"error": "token"}, status=401)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                self.subscriptions.append(json.loads(message.data)["subscribe"])
                for frame in self.frames:
                    await socket.send_str(frame if isinstance(frame, str) else json.dumps(frame))
        return socket

    async def whoami(self, request):
        role = self.role(request)
        if role is None:
            return web.json_response({"error": "wrong token"}, status=401)
        return web.json_response({"role": role})

    async def equity(self, request):
        return web.json_response({"points": [], "limit": request.query.get("limit")})

    async def broken(self, request):
        return web.Response(text="<html>", status=200)

    async def pause(self, request):
        if self.role(request) != "control":
            return web.json_response({"error": "pause needs the control token"}, status=403)
        self.posts.append(await request.json())
        return web.json_response({"trading_state": "REDUCING"})


def make_link(data_dir):
    return ApiLink(data_dir, store=Store(clock=ManualClock()), rng=random.Random(1), retry=QUICK)


@asynccontextmanager
async def running(link):
    async with asyncio.TaskGroup() as group:
        task = group.create_task(link.run())
        try:
            yield
        finally:
            task.cancel()


async def until(claim):
    async with asyncio.timeout(5):
        while not claim():
            await asyncio.sleep(0.005)


@pytest.fixture
def api(tmp_path):
    return FakeApi(tmp_path)


async def test_frames_of_wanted_topics_reach_the_store(api, tmp_path):
    link = make_link(tmp_path)
    link.want("page-1", ["status", "alerts"])
    link.want("page-2", ["status", "log"])
    async with api.serving(), running(link):
        await until(lambda: link.store.status is not None)
        assert link.store.is_connected
        assert api.subscriptions[-1] == ["alerts", "log", "status"]
        link.unwant("page-2")
        await until(lambda: api.subscriptions[-1] == ["alerts", "status"])


async def test_without_a_system_the_problem_names_the_remedy(tmp_path):
    link = make_link(tmp_path)
    async with running(link):
        await until(lambda: "trading-system start" in link.store.problem)
        with pytest.raises(ApiError, match="trading-system start"):
            await link.get("/equity")


async def test_a_restarted_system_is_found_with_its_new_token(api, tmp_path):
    link = make_link(tmp_path)
    link.want("page", ["status"])
    async with running(link):
        async with api.serving():
            await until(lambda: link.store.status is not None)
        await until(lambda: not link.store.is_connected)
        assert link.store.problem
        assert link.store.status is not None
        api.read_token = "read-2"
        api.frames = [{"topic": "alerts", "time_ms": 2, "data": {"alerts": []}}]
        async with api.serving():
            await until(lambda: link.store.newest("alerts") is not None)
            assert link.store.is_connected
            assert link.store.status is None


async def test_a_refused_token_is_said(api, tmp_path):
    link = make_link(tmp_path)
    async with api.serving():
        api.read_token = "another"
        async with running(link):
            await until(lambda: "refused the connection (401)" in link.store.problem)


async def test_an_unreadable_frame_ends_the_connection_not_the_link(api, tmp_path):
    link = make_link(tmp_path)
    link.want("page", ["status"])
    api.frames = ["{broken"]
    async with api.serving(), running(link):
        await until(lambda: len(api.subscriptions) >= 2)
        api.frames = ["[]", '{"error": "unknown topic"}', '{"topic": "status", "data": {"a": 1}}']
        await until(lambda: link.store.status == {"a": 1})


async def test_reads_carry_their_query_and_commands_the_control_token(api, tmp_path):
    link = make_link(tmp_path)
    async with api.serving(), running(link):
        await until(lambda: link.store.is_connected)
        assert await link.get("/equity", {"limit": 5, "key": None}) == {"points": [], "limit": "5"}
        with pytest.raises(ApiError, match=r"refused \(403\): pause needs the control token"):
            await link.post("/pause", {"reason": "x"}, token="read-1")
        answer = await link.post("/pause", {"reason": "x"}, token="control-1")
        assert answer == {"trading_state": "REDUCING"}
        assert api.posts == [{"reason": "x"}]
        with pytest.raises(ApiError, match="nothing readable"):
            await link.get("/broken")
        with pytest.raises(ApiError, match="404"):
            await link.get("/nowhere")


async def test_a_token_is_what_the_api_says_it_is(api, tmp_path):
    link = make_link(tmp_path)
    async with api.serving(), running(link):
        await until(lambda: link.store.is_connected)
        assert await link.role_of("control-1") == "control"
        assert await link.role_of("read-1") == "read"
        assert await link.role_of("wrong") is None
        for nonsense in ("", "ü", "a\r\nb"):
            assert await link.role_of(nonsense) is None


async def test_a_system_that_went_away_is_an_error_not_a_hang(api, tmp_path):
    link = make_link(tmp_path)
    async with running(link):
        async with api.serving():
            await until(lambda: link.store.is_connected)
        with pytest.raises(ApiError):
            await link.get("/equity")
        with pytest.raises(ApiError):
            await link.role_of("control-1")
