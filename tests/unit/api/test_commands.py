"""Every command of the control API, and every way to be refused."""

from typing import Any

import httpx
import pytest
from control_desk import FakeControl
from inspection import FakeInspection

from trading_system.api.app import ControlApi, create_app
from trading_system.api.tokens import Tokens
from trading_system.domain.errors import (
    ConfigurationError,
    DeadlineExceeded,
    LifecycleError,
    OrderDenied,
    Outcome,
    QueueFullError,
    TradingSystemError,
    ValidationError,
    VenueRateLimited,
    VenueUnavailable,
)

TOKEN = "t0ken"
EXECUTE = {"symbol": "BTCUSDT", "side": "Buy", "quantity": "0.01"}
GOOD: dict[str, dict[str, Any]] = {
    "/stop": {"reason": "x"},
    "/pause": {"reason": "x"},
    "/resume": {"reset_limits": True},
    "/reduce-only": {"reason": "x"},
    "/kill": {"reason": "x", "flatten": True, "confirm": "KILL"},
    "/execute": EXECUTE,
}
CALLS = {
    "/stop": ("stop", "x"),
    "/pause": ("pause", "x"),
    "/resume": ("resume", True),
    "/reduce-only": ("reduce-only", "x"),
    "/kill": ("kill", "x", True),
    "/execute": ("execute", "BTCUSDT", "Buy", "0.01", None, "NORMAL"),
}
GUARDED = [path for path in GOOD if path != "/stop"]


def app_of(control: FakeControl) -> ControlApi:
    return create_app(control, control, FakeInspection(), tokens=Tokens(control=TOKEN, read="r3ad"))


def client(control: FakeControl, **headers: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app_of(control)),
        base_url="http://127.0.0.1:8000",
        headers={"Authorization": f"Bearer {TOKEN}", **headers},
    )


@pytest.mark.parametrize("path", GOOD)
async def test_a_good_command_reaches_the_system_once(path: str) -> None:
    control = FakeControl()
    async with client(control) as api:
        answer = await api.post(path, json=GOOD[path])
    assert answer.is_success, answer.text
    assert control.calls == [CALLS[path]]


@pytest.mark.parametrize("path", GOOD)
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": ""}, 401),
        ({"Authorization": f"Bearer {TOKEN}x"}, 401),
        ({"Authorization": "Bearer \xe9"}, 401),
        ({"Host": "evil.example"}, 403),
        ({"Host": ""}, 403),
        ({"Host": "127.0.0.1"}, 403),
        ({"Host": "127.0.0.1:8001"}, 403),
        ({"Authorization": "Bearer r3ad"}, 403),
        ({"Origin": "http://127.0.0.1:8000"}, 403),
        ({"Origin": "null"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/json-patch+json"}, 415),
        ({"Content-Type": "application/json; charset=utf-16"}, 415),
        ({"Content-Encoding": "gzip"}, 415),
        ({"Content-Length": "9" * 5000}, 413),
        ({"Content-Length": "70000"}, 413),
        ({"Content-Length": "-1"}, 411),
        ({"Content-Length": "²"}, 411),
    ],
)
async def test_a_foreign_request_does_nothing(
    path: str, headers: dict[str, str], status: int
) -> None:
    control = FakeControl()
    async with client(control) as api:
        answer = await api.post(
            path, json=GOOD[path], headers={k: v.encode("latin-1") for k, v in headers.items()}
        )
    assert (answer.status_code, control.calls) == (status, [])
    assert isinstance(answer.json()["error"], str)


@pytest.mark.parametrize("path", GOOD)
@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"{", 422),
        (b"", 422),
        (b"[]", 422),
        (b'"x"', 422),
        (b'{"more":1}', 422),
        (b'{"reason":5,"reset_limits":"yes","flatten":1}', 422),
        (b"[" * 60_000, 422),
        (b"\xff\xfe", 422),
        (b'{"reason":"x","reason":"y"}', 422),
        (b'{"reason":NaN}', 422),
        (b'{"reason":' + b"9" * 5000 + b"}", 422),
        (b'{"reason":"' + b"x" * 70_000 + b'"}', 413),
    ],
)
async def test_a_bad_body_does_nothing_and_says_why(path: str, content: bytes, status: int) -> None:
    control = FakeControl()
    async with client(control, **{"Content-Type": "application/json"}) as api:
        answer = await api.post(path, content=content)
    assert (answer.status_code, control.calls) == (status, [])
    message = answer.json()["error"]
    assert "\n" not in message
    assert len(message) < 300


async def test_chunked_bodies_are_refused_unread() -> None:
    async def chunks() -> Any:
        yield b'{"reason":"x"}'

    control = FakeControl()
    async with client(control, **{"Content-Type": "application/json"}) as api:
        answer = await api.post("/pause", content=chunks())
    assert (answer.status_code, control.calls) == (411, [])


@pytest.mark.parametrize(
    ("path", "body", "names"),
    [
        ("/kill", {}, "confirm"),
        ("/kill", {"confirm": "kill"}, "confirm"),
        ("/kill", {"confirm": "KILL", "flatten": "true"}, "flatten"),
        ("/pause", {"reason": ""}, "reason"),
        ("/pause", {"reason": "x" * 201}, "reason"),
        ("/resume", {"reset_limits": 1}, "reset_limits"),
        ("/execute", {**EXECUTE, "symbol": "btc/usdt"}, "symbol"),
        ("/execute", {**EXECUTE, "side": "BUY"}, "side"),
        ("/execute", {**EXECUTE, "quantity": "0.00"}, "quantity: value error, must be positive"),
        ("/execute", {**EXECUTE, "quantity": "1e5"}, "quantity"),
        ("/execute", {**EXECUTE, "quantity": "-1"}, "quantity"),
        ("/execute", {**EXECUTE, "quantity": "\u0661"}, "quantity"),
        ("/execute", {**EXECUTE, "quantity": 1}, "quantity"),
        ("/execute", {**EXECUTE, "algorithm": "magic"}, "algorithm"),
        ("/execute", {**EXECUTE, "urgency": "EXTREME"}, "urgency"),
        ("/execute", {"symbol": "BTCUSDT"}, "side"),
    ],
)
async def test_a_refused_value_is_named(path: str, body: dict[str, Any], names: str) -> None:
    control = FakeControl()
    async with client(control) as api:
        answer = await api.post(path, json=body)
    assert (answer.status_code, control.calls) == (422, [])
    assert answer.json()["error"].startswith(names)


class BrokenStatus(FakeControl):
    """A system that cannot say how it is."""

    def get_system_status(self) -> dict[str, Any]:
        raise AttributeError("no panel")


@pytest.mark.parametrize("path", GOOD)
async def test_a_broken_status_keeps_nobody_from_a_command(path: str) -> None:
    control = BrokenStatus()
    async with client(control) as http:
        answer = await http.post(path, json=GOOD[path])
    assert answer.status_code in {200, 202}
    assert control.calls == [CALLS[path]]


@pytest.mark.parametrize("path", GUARDED)
@pytest.mark.parametrize("state", ["NEW", "STARTING"])
async def test_commands_wait_for_the_start(path: str, state: str) -> None:
    control = FakeControl(state=state)
    async with client(control) as api:
        answer = await api.post(path, json=GOOD[path])
        stopped = await api.post("/stop", json={"reason": "x"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert (stopped.status_code, control.calls) == (202, [("stop", "x")])


def lost() -> VenueUnavailable:
    return VenueUnavailable("gone", venue="bybit", operation="x", outcome=Outcome.UNKNOWN)


def limited() -> VenueRateLimited:
    return VenueRateLimited("slow", venue="bybit", operation="x", outcome=Outcome.REJECTED)


@pytest.mark.parametrize("path", GUARDED)
@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (OrderDenied("HALTED", "killed by operator"), 409),
        (LifecycleError("stopping"), 409),
        (ValidationError("off the grid"), 422),
        (ConfigurationError("no such symbol"), 422),
        (QueueFullError("full"), 429),
        (DeadlineExceeded("late"), 504),
        (limited(), 429),
        (lost(), 502),
        (TradingSystemError("broken"), 500),
    ],
)
async def test_expected_errors_are_answers_with_one_message(
    path: str, failure: TradingSystemError, status: int
) -> None:
    async with client(FakeControl(failure=failure)) as api:
        answer = await api.post(path, json=GOOD[path])
    assert (answer.status_code, answer.json()["error"]) == (status, str(failure))


async def test_a_refused_order_names_its_reason() -> None:
    async with client(FakeControl(failure=OrderDenied("HALTED", "killed"))) as api:
        answer = (await api.post("/execute", json=EXECUTE)).json()
    assert answer == {"error": "HALTED: killed", "reason": "HALTED", "detail": "killed"}


async def test_unknown_paths_and_methods_are_refused_in_the_same_form() -> None:
    async with client(FakeControl()) as api:
        assert (await api.get("/nothing")).json() == {"error": "Not Found"}
        assert (await api.get("/kill")).status_code == 405
        assert (await api.put("/kill", json=GOOD["/kill"])).status_code == 405
        assert (await api.delete("/kill")).status_code == 405


async def test_a_bug_is_an_answer_without_its_text() -> None:
    class Broken(FakeControl):
        async def pause(self, reason: str) -> dict[str, Any]:
            raise ValueError("s3cret")

    control = Broken()
    transport = httpx.ASGITransport(app=app_of(control), raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://127.0.0.1:8000", headers=headers
    ) as api:
        answer = await api.post("/pause", json={})
    assert answer.status_code == 500
    assert answer.json() == {"error": "an unexpected ValueError; see the running system's log"}
