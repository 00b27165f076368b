import asyncio
import random
import sys
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from trading_system.dashboard import cost_server
from trading_system.dashboard.cost_server import (
    CostServer,
    CostServerError,
    CostServers,
    instruments_of,
    serve_command,
)
from trading_system.runtime.backoff import Backoff
from trading_system.runtime.child import ChildError
from trading_system.runtime.clock import ManualClock

QUICK = Backoff(first_s=0.001, max_s=0.001, attempts=2)


class Child:
    def __init__(self, url):
        self.ready = {"url": url}
        self.stderr_tail = ("it fell over",)
        self.gone = asyncio.Event()

    async def wait(self):
        await self.gone.wait()
        return 1


class Rig:
    # A cost server whose processes are fakes in front of one small HTTP server.
    def __init__(self, url, **more):
        self.url = url
        self.specs = []
        self.children = []
        self.running = 0
        self.failures = 0
        self.clock = ManualClock()
        self.changed = asyncio.Event()
        self.server = CostServer(
            "bybit",
            clock=self.clock,
            rng=random.Random(1),
            retry=QUICK,
            look_s=0.005,
            start=self.launch,
            **more,
        )
        self.server.offer(["BTCUSDT"])

    @asynccontextmanager
    async def launch(self, spec):
        self.specs.append(spec)
        if self.failures:
            self.failures -= 1
            raise ChildError("cost simulator of bybit ended", exit_code=4, stderr_tail=("no",))
        child = Child(self.url)
        self.children.append(child)
        self.running += 1
        try:
            yield child
        finally:
            self.running -= 1

    async def until(self, is_true):
        async with asyncio.timeout(5):
            while not is_true():
                await asyncio.sleep(0)


async def estimate(request):
    asked = await request.json()
    if asked.get("tier") == "foo":
        body = {"error": "invalid_request", "message": "no such tier", "remedy": "take VIP 0"}
        return web.json_response(body, status=422)
    return web.json_response({"net_cost_bps": 5.5, "asked": asked})


async def status(request):
    return web.json_response({"markets": []})


async def broken(request):
    return web.Response(text="[1]")


@asynccontextmanager
async def rig(*, answer=estimate, **more):
    app = web.Application()
    app.router.add_post("/estimate", answer)
    app.router.add_get("/status", status)
    async with TestServer(app) as web_server, asyncio.TaskGroup() as group:
        made = Rig(str(web_server.make_url("")).rstrip("/"), **more)
        running = group.create_task(made.server.run())
        try:
            yield made
        finally:
            running.cancel()


async def asked(server, **query):
    return await server.estimate({"side": "buy", "quantity": 1.0, **query})


async def started(made):
    with pytest.raises(CostServerError):
        await asked(made.server)
    await made.until(lambda: made.server.is_ready)


async def test_nothing_is_started_before_somebody_asks():
    async with rig() as made:
        await asyncio.sleep(0)
        assert made.specs == []


async def test_the_first_question_starts_the_process_and_does_not_wait_for_it():
    async with rig() as made:
        with pytest.raises(CostServerError) as caught:
            await asked(made.server)
        assert caught.value.code == "starting"
        await made.until(lambda: made.server.is_ready)
        assert (await asked(made.server))["net_cost_bps"] == 5.5


async def test_keys_that_are_not_given_are_not_sent():
    async with rig() as made:
        await started(made)
        answer = await asked(made.server, tier=None, unit="usd")
        assert answer["asked"] == {"side": "buy", "quantity": 1.0, "unit": "usd"}


async def test_the_simulators_errors_keep_their_remedy():
    async with rig() as made:
        await started(made)
        with pytest.raises(CostServerError, match="no such tier") as caught:
            await asked(made.server, tier="foo")
        assert (caught.value.code, caught.value.remedy) == ("invalid_request", "take VIP 0")


async def test_the_processs_own_status_can_be_read():
    async with rig() as made:
        await started(made)
        assert await made.server.status() == {"markets": []}


async def test_an_answer_that_is_no_object_is_a_fault_of_the_simulator():
    async with rig(answer=broken) as made:
        await started(made)
        with pytest.raises(CostServerError, match="did not answer"):
            await asked(made.server)


async def test_the_instruments_and_the_environment_reach_the_process():
    environ = {"TRADING_BYBIT__REST_URL": "http://127.0.0.1:1"}
    async with rig(environ=environ) as made:
        await started(made)
        (spec,) = made.specs
        assert spec.command == [
            *serve_command(),
            *("--exchange", "bybit", "--instrument", "BTCUSDT"),
        ]
        assert spec.environ == environ


async def test_a_process_that_dies_is_started_again():
    async with rig() as made:
        await started(made)
        made.children[0].gone.set()
        await made.until(lambda: made.server.starts == 2 and made.server.is_ready)
        assert made.running == 1
        assert (await asked(made.server))["net_cost_bps"] == 5.5


async def test_what_does_not_come_back_is_given_up_and_says_why_until_somebody_tries_again():
    async with rig() as made:
        made.failures = 3
        with pytest.raises(CostServerError):
            await asked(made.server)
        await made.until(lambda: made.failures == 0)
        await made.until(lambda: not made.server._wanted.is_set())
        with pytest.raises(CostServerError, match="ended; stderr: no") as caught:
            await asked(made.server)
        assert caught.value.code == "failed"
        assert "ended" in made.server.problem
        assert len(made.specs) == 3
        made.server.retry()
        await made.until(lambda: made.server.is_ready)
        assert made.server.problem == ""


async def test_a_process_that_stood_long_gets_all_its_attempts_again():
    async with rig() as made:
        await started(made)
        for starts in (2, 3, 4, 5):
            made.clock.advance(61.0)
            await asked(made.server)
            made.children[-1].gone.set()
            await made.until(lambda n=starts: made.server.starts == n and made.server.is_ready)


async def test_a_process_that_nobody_asks_is_ended_and_started_again_when_somebody_does():
    async with rig() as made:
        await started(made)
        made.clock.advance(cost_server.IDLE_S + 1)
        await made.until(lambda: made.running == 0)
        assert not made.server.is_ready
        await started(made)
        assert made.running == 1


async def test_the_process_ends_with_the_dashboard():
    async with rig() as made:
        await started(made)
    assert made.running == 0


async def test_no_instrument_is_a_problem_and_not_a_process():
    async with rig() as made:
        made.server.offer([])
        with pytest.raises(CostServerError):
            await asked(made.server)
        await made.until(lambda: made.server.problem != "")
        assert made.specs == []


async def test_at_most_a_few_instruments_are_served_each_once():
    async with rig() as made:
        made.server.offer(["A", "A", "B", "C", "D", "E"])
        await started(made)
        names = [part for part in made.specs[0].command if part in set("ABCDE")]
        assert names == ["A", "B", "C", "D"]


async def test_the_servers_of_all_exchanges_run_together():
    made = [
        CostServer(name, clock=ManualClock(), rng=random.Random(1)) for name in ("bybit", "okx")
    ]
    servers = CostServers(made)
    assert servers.of("okx") is made[1]
    async with asyncio.TaskGroup() as group:
        running = group.create_task(servers.run())
        await asyncio.sleep(0)
        running.cancel()
    assert cost_server.COSTS.of("bybit").problem == ""


def test_the_command_is_this_python_on_a_free_port():
    assert serve_command()[:2] == (sys.executable, "-m")
    assert serve_command()[-2:] == ("--port", "0")


@pytest.mark.parametrize(
    ("exchange", "symbols", "expected"),
    [
        ("bybit", ["BTCUSDT", "ETHUSDT"], ["BTCUSDT", "ETHUSDT"]),
        ("okx", ["BTCUSDT", "1000PEPEUSDT", "BTCUSDC"], ["BTC-USDT-SWAP"]),
        ("okx", [], ["BTC-USDT-SWAP"]),
        ("bybit", [], ["BTCUSDT"]),
        ("bybit", list("ABCDE"), list("ABCD")),
    ],
)
def test_instruments_in_each_exchanges_spelling(exchange, symbols, expected):
    assert instruments_of(exchange, symbols) == expected
