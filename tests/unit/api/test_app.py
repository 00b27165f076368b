from typing import Any

import httpx
import pytest

from trading_system.api.app import create_app

TOKEN = "t0ken"
GOOD = {"Authorization": f"Bearer {TOKEN}"}


class System:
    def __init__(self) -> None:
        self.reasons: list[str] = []

    def get_system_status(self) -> dict[str, Any]:
        return {
            "state": "RUNNING",
            "performance_compliance": {"health_target_met": True},
            "compliance_targets": [],
        }

    def request_stop(self, reason: str) -> None:
        self.reasons.append(reason)


def client(system: System, *, host: str = "127.0.0.1:8000") -> httpx.AsyncClient:
    app = create_app(system, system, token=TOKEN)
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url=f"http://{host}", headers=GOOD
    )


async def test_status_and_compliance_are_shown_to_the_token() -> None:
    async with client(System()) as api:
        assert (await api.get("/status")).json()["state"] == "RUNNING"
        answer = (await api.get("/compliance")).json()
    assert answer["performance_compliance"] == {"health_target_met": True}


async def test_stop_is_accepted_with_its_reason() -> None:
    system = System()
    async with client(system) as api:
        answer = await api.post("/stop", json={"reason": "lunch"})
    assert (answer.status_code, system.reasons) == (202, ["lunch"])


@pytest.mark.parametrize("path", ["/status", "/compliance", "/openapi.json", "/nothing"])
@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer x"}, {"Authorization": TOKEN}])
async def test_without_the_token_nothing_is_shown(path: str, header: dict[str, str]) -> None:
    app = create_app(System(), System(), token=TOKEN)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as api:
        assert (await api.get(path, headers=header)).status_code == 401


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1"])
async def test_a_foreign_host_name_is_refused(host: str) -> None:
    async with client(System(), host=host) as api:
        assert (await api.get("/status")).status_code == 403


async def test_a_web_page_is_refused() -> None:
    async with client(System()) as api:
        answer = await api.get("/status", headers={"Origin": "http://127.0.0.1:8000"})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"reason=x", "application/x-www-form-urlencoded", 415),
        (b"{", "application/json", 422),
        (b'{"reason":1}', "application/json", 422),
        (b'{"reason":""}', "application/json", 422),
        (b'{"reason":"x","more":1}', "application/json", 422),
        (b'{"reason":"' + b"x" * 70_000 + b'"}', "application/json", 413),
    ],
)
async def test_a_bad_command_does_nothing(content: bytes, kind: str, status: int) -> None:
    system = System()
    async with client(system) as api:
        answer = await api.post("/stop", content=content, headers={"Content-Type": kind})
    assert (answer.status_code, system.reasons) == (status, [])


@pytest.mark.parametrize(
    ("host", "status"),
    [("[::1]:8000", 200), ("localhost", 200), ("[::1].evil", 403), ("127.0.0.1.evil", 403)],
)
async def test_only_loopback_names_are_hosts(host: str, status: int) -> None:
    async with client(System()) as api:
        assert (await api.get("/status", headers={"Host": host})).status_code == status
