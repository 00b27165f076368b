"""Every route that reads, for either token, in the shape its document promises."""

import json
from typing import Any

import pytest

from trading_system.api import documents as shapes
from trading_system.api import documents_live as live
from trading_system.api.tokens import Tokens
from trading_system.domain.errors import TradingSystemError

Desk = Any  # the fixture of conftest.py
TOKENS = Tokens(control="c0ntrol", read="r3ad")
ROUTES: dict[str, Any] = {
    "/status": live.StatusDocument,
    "/health": shapes.HealthDocument,
    "/compliance": shapes.ComplianceDocument,
    "/whoami": shapes.WhoAmI,
    "/positions": shapes.PositionsDocument,
    "/orders": shapes.OrdersDocument,
    "/fills": shapes.FillsDocument,
    "/fills?symbol=ETHUSDT&limit=500": shapes.FillsDocument,
    "/signals": shapes.SignalsDocument,
    "/signals?symbol=BTCUSDT&limit=1": shapes.SignalsDocument,
    "/executions?limit=1": shapes.ExecutionsDocument,
    "/latency": live.LatencyDocument,
    "/risk": shapes.RiskDocument,
    "/equity": shapes.EquityDocument,
    "/alerts": live.AlertsDocument,
    "/market/BTCUSDT": live.MarketDocument,
    "/market/ETHUSDT?depth=50": live.MarketDocument,
    "/candles/BTCUSDT?interval=60&limit=1000": live.CandlesDocument,
    "/market-maker": live.MarketMakerDocument,
    "/journal?kind=FILL&limit=5": live.JournalDocument,
    "/journal?before=10": live.JournalDocument,
    "/log?after=2": live.LogDocument,
}


@pytest.mark.parametrize("token", [TOKENS.read, TOKENS.control])
@pytest.mark.parametrize("path", ROUTES)
async def test_either_token_reads_the_documented_shape(desk: Desk, path: str, token: str) -> None:
    async with desk.client(token) as api:
        answer = await api.get(path)
    assert answer.status_code == 200, answer.text
    ROUTES[path].model_validate_json(answer.content, strict=True)


@pytest.mark.parametrize(
    "path",
    [
        "/fills?limit=0",
        "/fills?limit=501",
        "/fills?limit=1e2",
        "/fills?symbol=btc",
        "/fills?unknown=1",
        "/signals?limit=201",
        "/executions?limit=-1",
        "/market/BTCUSDT?depth=201",
        "/market/NOSUCH",
        "/market/..%2Fstatus",
        "/candles/BTCUSDT?interval=2",
        "/candles/BTCUSDT?limit=1001",
        "/journal?before=0",
        "/journal?kind=%27%20OR%201",
        "/journal?key=" + "x" * 129,
        "/log?after=-1",
        "/log?limit=99999999999999999999",
    ],
)
async def test_what_is_out_of_bounds_is_refused_in_one_line(desk: Desk, path: str) -> None:
    async with desk.client() as api:
        answer = await api.get(path)
    assert answer.status_code in {404, 422}
    assert "\n" not in answer.json()["error"]


@pytest.mark.parametrize(("token", "role"), [(TOKENS.read, "read"), (TOKENS.control, "control")])
async def test_a_token_learns_its_role(desk: Desk, token: str, role: str) -> None:
    async with desk.client(token) as api:
        assert (await api.get("/whoami")).json() == {"role": role}


async def test_the_status_of_a_young_system_is_enough(desk: Desk) -> None:
    desk.control.get_system_status = lambda: {  # type: ignore[method-assign]  # a bare status
        "state": "NEW",
        "performance_compliance": {},
        "compliance_targets": [],
    }
    async with desk.client() as api:
        health = (await api.get("/health")).json()
        compliance = (await api.get("/compliance")).json()
    assert (health["state"], health["score"], health["reasons"]) == ("NEW", None, [])
    assert (compliance["targets"], compliance["state"]) == ([], None)


async def test_what_is_no_number_becomes_null(desk: Desk) -> None:
    desk.inspection.equity = lambda: {"start": None, "points": [[1, float("nan")]]}  # type: ignore[method-assign]  # a slip
    async with desk.client() as api:
        assert (await api.get("/equity")).json() == {"start": None, "points": [[1, None]]}


async def test_an_alert_is_acknowledged_and_its_note_is_data(desk: Desk) -> None:
    note = "<script>alert(1)</script>"
    async with desk.client() as api:
        answer = await api.post("/alerts/a3f1c2/acknowledge", json={"note": note})
        gone = await api.post("/alerts/nothing/acknowledge", json={})
    live.Alert.model_validate_json(answer.content, strict=True)
    assert (answer.json()["state"], answer.json()["note"]) == ("acknowledged", note)
    assert answer.headers["Content-Type"] == "application/json"
    assert (gone.status_code, desk.inspection.noted) == (422, [("a3f1c2", note)])


async def test_metrics_are_text_and_made_at_most_once_a_second(desk: Desk) -> None:
    async with desk.client(TOKENS.read) as api:
        answers = [await api.get("/metrics") for _ in range(3)]
        desk.clock.advance(1.01)
        answers.append(await api.get("/metrics"))
    assert {answer.status_code for answer in answers} == {200}
    assert answers[0].headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert b"# TYPE" in answers[0].content
    assert desk.inspection.calls["latency"] == 2


async def test_the_openapi_document_names_every_route_and_key(desk: Desk) -> None:
    async with desk.client(TOKENS.read) as api:
        first = (await api.get("/openapi.json")).content
        assert (await api.get("/openapi.json")).content == first
    document = json.loads(first)
    paths = document["paths"]
    assert {path.split("?")[0].replace("BTCUSDT", "{symbol}") for path in ROUTES} - {
        "/market/ETHUSDT"
    } <= set(paths)
    assert {"/metrics", "/kill", "/alerts/{alert_id}/acknowledge"} <= set(paths)
    assert document["security"] == [{"token": []}]
    properties = document["components"]["schemas"]["Position"]["properties"]
    assert "quote currency" in json.dumps(properties["unrealised_pnl"])


async def test_every_number_of_a_document_says_its_unit_or_is_a_count(desk: Desk) -> None:
    schemas = desk.app.openapi()["components"]["schemas"]
    for name, unit in [("p50_us", "micro"), ("met_s", "seconds"), ("p_up", "0 to 1")]:
        rows = [s["properties"][name] for s in schemas.values() if name in s.get("properties", {})]
        assert rows
        assert all(unit in json.dumps(row) for row in rows)


async def test_an_expected_error_of_a_read_is_an_answer(desk: Desk) -> None:
    desk.inspection.failure = TradingSystemError("the session has ended")
    async with desk.client() as api:
        answer = await api.get("/positions")
    assert (answer.status_code, answer.json()) == (500, {"error": "the session has ended"})
