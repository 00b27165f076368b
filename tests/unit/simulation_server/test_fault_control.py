import json

import aiohttp
import pytest

from trading_system.runtime.clock import SystemClock
from trading_system.simulation.bybit_server.fault_control import FaultControl
from trading_system.simulation.faults.engine import FaultEngine
from trading_system.simulation.faults.names import Fault
from trading_system.simulation.faults.rules import FaultRule, Moment

GAP = {"fault": "gap", "topic": "order"}


@pytest.fixture
async def port():
    engine = FaultEngine(seed=1, clock=SystemClock())
    async with (
        FaultControl(engine) as control,
        aiohttp.ClientSession(control.url) as http,
    ):
        yield engine, http


async def ask(http, method, path, **how):
    async with http.request(method, path, **how) as reply:
        return reply.status, await reply.json()


async def test_rules_are_armed_listed_counted_and_cleared(port):
    engine, http = port
    assert await ask(http, "POST", "/faults", json=GAP) == (200, {"armed": [1]})
    assert await ask(http, "POST", "/faults", json=[GAP, GAP]) == (200, {"armed": [2, 3]})
    engine.meet(Moment.PUSH, topic="order")
    status, answer = await ask(http, "GET", "/faults")
    first = answer["faults"][0]
    assert (status, first["struck"], first["is_spent"], len(answer["faults"])) == (200, 1, True, 3)
    assert first["rule"]["topic"] == "order"
    assert await ask(http, "GET", "/counts") == (200, {"counts": {"gap": 1}})
    assert await ask(http, "DELETE", "/faults/2") == (200, {"cleared": 1})
    assert await ask(http, "DELETE", "/faults") == (200, {"cleared": 2})
    assert engine.armed() == []


async def test_wrong_rules_are_refused_with_line_and_remedy_and_none_is_armed(port):
    engine, http = port
    lines = json.dumps(GAP) + '\n{"fault": "gap", "delay_ms": 1}'
    headers = {"Content-Type": "application/x-ndjson"}
    status, answer = await ask(http, "POST", "/faults", data=lines, headers=headers)
    assert status == 400
    assert answer["error"] == "request:2: delay_ms does not apply to gap: remove it"
    status, answer = await ask(http, "POST", "/faults", data=b"\xff", headers=headers)
    assert (status, answer["error"]) == (400, "the rules are not UTF-8 text")
    assert await ask(http, "DELETE", "/faults/9") == (404, {"error": "there is no rule 9"})
    assert engine.armed() == []


async def test_a_web_page_cannot_arm_anything(port):
    engine, http = port
    status, _ = await ask(http, "POST", "/faults", data=json.dumps(GAP))
    assert status == 415
    async with http.post("/faults", json=GAP, headers={"Host": "evil.test"}) as reply:
        assert reply.status == 421
    assert engine.armed() == []


async def test_listed_rule_can_be_armed_again(port):
    engine, http = port
    engine.arm([FaultRule(fault=Fault.DELAY, delay_ms=5, path="/v5/*", count=None)])
    _, answer = await ask(http, "GET", "/faults")
    status, _ = await ask(http, "POST", "/faults", json=answer["faults"][0]["rule"])
    first, second = engine.armed()
    assert (status, first.rule) == (200, second.rule)
