"""What the guard refuses, in which order, and whom it never refuses."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from trading_system.api.guard import Guard
from trading_system.api.tokens import Tokens
from trading_system.runtime.clock import ManualClock

Desk = Any  # the fixture of conftest.py
TOKENS = Tokens(control="c0ntrol", read="r3ad")
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


@pytest.mark.parametrize(
    "path", ["/status", "/compliance", "/metrics", "/openapi.json", "/nothing"]
)
@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer x"}, {"Authorization": "r3ad"}])
async def test_without_a_token_nothing_is_shown(
    desk: Desk, path: str, header: dict[str, str]
) -> None:
    async with desk.client() as api:
        del api.headers["Authorization"]
        answer = await api.get(path, headers=header)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


async def test_two_tokens_are_none(desk: Desk) -> None:
    async with desk.client() as api:
        del api.headers["Authorization"]
        good = ("Authorization", f"Bearer {TOKENS.control}")
        answer = await api.get("/status", headers=[good, good])
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8000", 200),
        ("localhost:8000", 200),
        ("[::1]:8000", 200),
        ("localhost", 403),
        ("127.0.0.1:8001", 403),
        ("evil.example:8000", 403),
        ("127.0.0.1.evil.example:8000", 403),
        ("127.0.0.1:8000.evil", 403),
        ("127.1:8000", 403),
        ("2130706433:8000", 403),
        ("0.0.0.0:8000", 403),
        ("10.0.0.1:8000", 403),
        ("127.0.0.1:08000", 403),
        ("LOCALHOST:8000", 403),
        ("localhost:8000\x00", 403),
        ("", 403),
    ],
)
async def test_only_loopback_names_with_the_own_port_are_hosts(
    desk: Desk, host: str, status: int
) -> None:
    async with desk.client() as api:
        assert (await api.get("/status", headers={"Host": host})).status_code == status


async def test_without_a_port_the_host_is_that_of_port_80(desk: Desk) -> None:
    async with desk.client() as api:
        answer = await api.get("http://127.0.0.1/status")
    assert answer.status_code == 200


async def test_a_web_page_is_refused_whatever_its_origin(desk: Desk) -> None:
    async with desk.client() as api:
        for origin in ("http://127.0.0.1:8000", "null", "", "https://evil.example"):
            assert (await api.get("/status", headers={"Origin": origin})).status_code == 403


@pytest.mark.parametrize("method", ["HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "X"])
async def test_only_get_and_post_exist(desk: Desk, method: str) -> None:
    async with desk.client() as api:
        answer = await api.request(method, "/status")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, POST")


async def test_every_answer_carries_the_security_headers(desk: Desk) -> None:
    async with desk.client() as api:
        answers = [
            await api.get("/status"),
            await api.get("/nothing"),
            await api.put("/status"),
            await api.get("/status", headers={"Origin": "null"}),
            await api.post("/pause", json={"reason": 1}),
        ]
    for answer in answers:
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS


async def test_no_slash_is_redirected(desk: Desk) -> None:
    async with desk.client() as api:
        assert (await api.get("/status/")).status_code == 404


async def test_the_sixth_wrong_token_has_to_wait_and_a_right_one_never(desk: Desk) -> None:
    async with desk.client("wrong") as thief, desk.client() as operator:
        statuses = [(await thief.get("/status")).status_code for _ in range(7)]
        late = await thief.post("/kill", json={"confirm": "KILL"})
        killed = await operator.post("/kill", json={"confirm": "KILL"})
        desk.clock.advance(60.1)
        again = await thief.get("/status")
    assert statuses == [401] * 5 + [429] * 2
    assert 1 <= int(late.headers["Retry-After"]) <= 60
    assert (killed.status_code, again.status_code) == (200, 401)
    assert desk.app.guard.wrong_tokens == 9


async def test_wrong_tokens_are_logged_once_a_minute_and_never_themselves(desk: Desk) -> None:
    with capture_logs() as lines:
        async with desk.client("gue55") as thief:
            for _ in range(4):
                await thief.get("/status")
            desk.clock.advance(61)
            await thief.get("/status")
    assert [line["since_start"] for line in lines] == [1, 5]
    assert "gue55" not in str(lines)


async def test_missing_tokens_are_not_counted_as_guesses(desk: Desk) -> None:
    async with desk.client() as api:
        del api.headers["Authorization"]
        assert {(await api.get("/status")).status_code for _ in range(10)} == {401}


async def test_a_flood_of_reads_ends_and_commands_go_on(desk: Desk) -> None:
    async with desk.client() as api:
        statuses = [(await api.get("/whoami")).status_code for _ in range(201)]
        assert (await api.post("/pause", json={"reason": "x"})).status_code == 200
        desk.clock.advance(0.01)
        assert (await api.get("/whoami")).status_code == 200
        refused = await api.get("/whoami")
    assert statuses == [200] * 200 + [429]
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")


async def test_beyond_32_requests_at_once_only_the_safe_commands_are_served(desk: Desk) -> None:
    release, waiting = asyncio.Event(), asyncio.Semaphore(0)

    async def slow(*_given: Any, **_more: Any) -> dict[str, Any]:
        waiting.release()
        await release.wait()
        return {}

    desk.control.execute = slow  # type: ignore[method-assign]  # holds its place
    order = {"symbol": "BTCUSDT", "side": "Buy", "quantity": "1"}
    async with desk.client() as api, asyncio.TaskGroup() as group:
        held = [group.create_task(api.post("/execute", json=order)) for _ in range(32)]
        for _ in held:
            await waiting.acquire()
        refused = [await api.get("/positions"), await api.post("/resume", json={})]
        served = [
            await api.post("/kill", json={"confirm": "KILL"}),
            await api.post("/pause", json={}),
            await api.post("/reduce-only", json={}),
            await api.post("/stop", json={}),
            await api.get("/status"),
        ]
        release.set()
    assert [answer.status_code for answer in refused] == [503, 503]
    assert all(answer.is_success for answer in served)
    assert {task.result().status_code for task in held} == {200}


async def test_a_body_larger_than_it_says_is_refused(desk: Desk) -> None:
    messages = iter([{"type": "http.request", "body": b" " * 40_000, "more_body": True}] * 2)
    status = await raw(desk, messages, length="10")
    assert (status, desk.control.calls) == (413, [])


async def test_a_client_that_leaves_in_the_middle_commands_nothing(desk: Desk) -> None:
    messages = iter(
        [
            {"type": "http.request", "body": b'{"reason"', "more_body": True},
            {"type": "http.disconnect"},
        ]
    )
    assert await raw(desk, messages, length="20") is None
    assert desk.control.calls == []


@pytest.mark.parametrize(
    "headers", [[("X", "x" * 17_000)], [(f"X-{number}", "x") for number in range(65)]]
)
async def test_too_many_or_too_large_headers_are_refused(
    desk: Desk, headers: list[tuple[str, str]]
) -> None:
    async with desk.client() as api:
        assert (await api.get("/whoami", headers=headers)).status_code == 431


async def test_a_right_token_opens_no_other_stream(desk: Desk) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "websocket",
        "path": "/other",
        "headers": [
            (b"host", b"127.0.0.1:8000"),
            (b"authorization", f"Bearer {TOKENS.read}".encode()),
        ],
        "server": ("127.0.0.1", 8000),
        "extensions": {"websocket.http.response": {}},
    }
    await desk.app(scope, nothing, send)
    assert sent[0]["status"] == 404
    async with desk.client() as api:
        for _ in range(200):
            await api.get("/whoami")
    control = [scope["headers"][0], (b"authorization", f"Bearer {TOKENS.control}".encode())]
    await desk.app({**scope, "path": "/stream", "headers": control}, nothing, send)
    assert sent[2]["status"] == 429


async def test_a_target_that_is_no_path_is_refused(desk: Desk) -> None:
    assert await raw(desk, iter(()), path="http://evil.example/kill") == 400


async def test_the_guard_lets_what_is_neither_request_nor_stream_through() -> None:
    seen = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(scope["type"])

    guard = Guard(app, tokens=TOKENS, clock=ManualClock())
    await guard({"type": "lifespan"}, nothing, nothing)
    assert seen == ["lifespan"]


async def test_a_stream_is_refused_without_http_answers_too(desk: Desk) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/stream", "headers": [(b"host", b"evil")]}
    await desk.app(scope, nothing, send)
    assert (sent[0]["type"], sent[0]["code"]) == ("websocket.close", 1008)


async def nothing(*_given: Any) -> Any:
    raise AssertionError


async def raw(desk: Desk, messages: Any, *, path: str = "/pause", length: str = "2") -> int | None:
    """Send one POST message by message; return the status, None without an answer."""
    sent: list[Any] = []

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [
        (b"host", b"127.0.0.1:8000"),
        (b"authorization", f"Bearer {TOKENS.control}".encode()),
        (b"content-type", b"application/json"),
        (b"content-length", length.encode()),
    ]
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "headers": headers,
        "server": ("127.0.0.1", 8000),
        "query_string": b"",
    }
    await desk.app(scope, receive, send)
    return sent[0]["status"] if sent else None
