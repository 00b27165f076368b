"""A socket speaks only for pages of its own login."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from nicegui import Client, core

from trading_system.dashboard.door import SESSION
from trading_system.dashboard.fence import _connecting, _fenced, fence_sockets

OURS, THEIRS = object(), object()
CLIENT_ID = "page-of-ours"


class Sockets:
    """What the fence asks socket.io: whose socket it is, and which pages it has joined."""

    def __init__(self) -> None:
        self.environs = {
            "ours": {"asgi.scope": {SESSION: OURS}},
            "theirs": {"asgi.scope": {SESSION: THEIRS}},
            "nobody's": {},
        }
        self.joined = {"ours": ["ours", CLIENT_ID]}
        self.handlers: dict[str, dict[str, Any]] = {"/": {}}

    def get_environ(self, sid: str) -> dict[str, Any]:
        return self.environs[sid]

    def rooms(self, sid: str) -> list[str]:
        return self.joined.get(sid, [sid])

    def on(self, name: str, handler: Any) -> None:
        self.handlers["/"][name] = handler


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """Stand the sockets in for NiceGUI's; return what its handlers were told, by name."""
    sockets, told = Sockets(), cast("dict[str, list[Any]]", {})
    for name in ("event", "javascript_response", "ack", "log"):
        told[name] = []
        sockets.on(name, lambda _sid, message, name=name: told[name].append(message["client_id"]))

    async def handshake(_sid: str, message: dict[str, Any]) -> bool:
        told["handshake"].append(message["client_id"])
        return True

    async def connected(sid: str, _environ: object, _auth: object) -> None:
        told["connect"].append(sid)

    told["handshake"], told["connect"] = [], []
    sockets.on("handshake", handshake)
    sockets.on("connect", connected)
    page = SimpleNamespace(request=SimpleNamespace(scope={SESSION: OURS}))
    monkeypatch.setattr(core, "sio", sockets)
    monkeypatch.setitem(cast("Any", Client.instances), CLIENT_ID, page)
    monkeypatch.setitem(cast("Any", Client.instances), "unasked", SimpleNamespace(request=None))
    fence_sockets()
    fence_sockets()
    return told


async def say(name: str, sid: str, message: object) -> object:
    return await core.sio.handlers["/"][name](sid, message)


async def test_a_socket_joins_pages_of_its_own_session_only(heard: dict[str, list[Any]]) -> None:
    for sid in ("theirs", "nobody's"):
        assert await say("handshake", sid, {"client_id": CLIENT_ID}) is False
    for other in ("unasked", "unknown", None, 7):
        assert await say("handshake", "ours", {"client_id": other}) is False
    assert heard["handshake"] == []
    assert await say("handshake", "ours", {"client_id": CLIENT_ID}) is True
    assert heard["handshake"] == [CLIENT_ID]


@pytest.mark.parametrize("name", ["event", "javascript_response", "ack", "log"])
async def test_a_socket_is_heard_about_pages_it_has_joined_only(
    heard: dict[str, list[Any]], name: str
) -> None:
    assert await say(name, "theirs", {"client_id": CLIENT_ID}) is False
    malformed: tuple[object, ...] = (None, [], "x", {}, {"client_id": {}})
    for message in malformed:
        assert await say(name, "ours", message) is False
    assert heard[name] == []
    await say(name, "ours", {"client_id": CLIENT_ID})
    assert heard[name] == [CLIENT_ID]


async def test_a_handshake_in_the_address_is_refused_as_well(heard: dict[str, list[Any]]) -> None:
    connect = core.sio.handlers["/"]["connect"]
    theirs = {"QUERY_STRING": f"EIO=4&client_id={CLIENT_ID}&implicit_handshake=true"}
    assert await connect("theirs", theirs) is False
    await connect("ours", theirs)
    await connect("theirs", {"QUERY_STRING": "client_id=gone"})
    await connect("theirs", {})
    assert heard["connect"] == ["ours", "theirs", "theirs"]


async def test_what_a_message_breaks_is_not_carried_on() -> None:
    def broken(_sid: str, message: dict[str, Any]) -> None:
        raise KeyError(message["client_id"])

    fenced = _fenced(broken, lambda _sid, _client_id: True)
    assert await fenced("any", {"client_id": "x"}) is False
    assert callable(_connecting(broken))
