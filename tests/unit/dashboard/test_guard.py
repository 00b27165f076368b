from __future__ import annotations

import json
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest

from trading_system.dashboard.door import SESSION, Door
from trading_system.dashboard.guard import MAX_BODY_BYTES, Guard
from trading_system.dashboard.sessions import Sessions
from trading_system.runtime.clock import ManualClock

PORT = 8123
HOME = f"127.0.0.1:{PORT}"
ORIGIN = f"http://{HOME}"


class Rig:
    """Guard and door around an application that remembers what reached it."""

    def __init__(self, public_host=""):
        self.clock = ManualClock()
        self.sessions = Sessions(clock=self.clock, session_s=3600.0, control_s=60.0)
        self.reached = []
        self.door = Door(
            self._app, sessions=self.sessions, port=PORT, link_token="link-token", url=ORIGIN
        )
        self.guard = Guard(self.door, port=PORT, public_host=public_host)

    async def _app(self, scope, receive, send):
        self.reached.append(scope)
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            while (message := await receive())["type"] == "websocket.receive":
                await send({"type": "websocket.send", "text": message["text"]})
            return
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = [(b"content-type", b"text/plain"), (b"server", b"x"), (b"cache-control", b"max")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body or b"inside"})

    async def http(self, path="/", method="GET", *, headers=(), chunks=(b"",), host=HOME):
        path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [(b"host", host.encode()), *_encoded(headers)],
        }
        waiting = [
            {"type": "http.request", "body": chunk, "more_body": i + 1 < len(chunks)}
            for i, chunk in enumerate(chunks)
        ]
        sent = []

        async def receive():
            return waiting.pop(0)

        async def send(message):
            sent.append(message)

        await self.guard(scope, receive, send)
        if not sent:
            return SimpleNamespace(status=None, headers={}, body=b"")
        return SimpleNamespace(
            status=sent[0]["status"],
            headers={key.decode(): value.decode() for key, value in sent[0]["headers"]},
            body=b"".join(message.get("body", b"") for message in sent[1:]),
        )

    async def socket(self, *, headers=(), host=HOME, texts=(), before_text=lambda: None):
        scope = {
            "type": "websocket",
            "path": "/_nicegui_ws/socket.io/",
            "query_string": b"",
            "headers": [(b"host", host.encode()), *_encoded(headers)],
        }
        waiting = [{"type": "websocket.connect"}]
        waiting += [{"type": "websocket.receive", "text": text} for text in texts]
        waiting.append({"type": "websocket.disconnect", "code": 1000})
        sent = []

        async def receive():
            message = waiting.pop(0)
            if message["type"] == "websocket.receive":
                before_text()
            return message

        async def send(message):
            sent.append(message)

        await self.guard(scope, receive, send)
        return sent

    async def log_in(self, host=HOME, origin=ORIGIN):
        code = self.sessions.new_link()
        answer = await self.http(
            "/login",
            "POST",
            headers={"origin": origin},
            chunks=(urlencode({"code": code}).encode(),),
            host=host,
        )
        assert answer.status == 303
        return answer.headers["set-cookie"]


def _encoded(headers):
    pairs = headers.items() if isinstance(headers, dict) else headers
    return [(key.encode(), value.encode()) for key, value in pairs]


@pytest.fixture
def rig():
    return Rig()


@pytest.fixture
async def cookie(rig):
    return (await rig.log_in()).split(";")[0]


@pytest.mark.parametrize(
    "host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1", "127.0.0.1:1", "", "[::1]"]
)
async def test_an_unknown_host_gets_nowhere(rig, cookie, host):
    answer = await rig.http(headers={"cookie": cookie}, host=host)
    sent = await rig.socket(headers={"cookie": cookie, "origin": ORIGIN}, host=host)
    assert answer.status == 403
    assert [message["type"] for message in sent] == ["websocket.close"]
    assert not rig.reached


@pytest.mark.parametrize("host", [HOME, f"localhost:{PORT}", f"[::1]:{PORT}", f"LOCALHOST:{PORT}"])
async def test_own_hosts_pass(rig, cookie, host):
    assert (await rig.http(headers={"cookie": cookie}, host=host)).status == 200


async def test_a_second_host_header_is_refused(rig, cookie):
    headers = {"cookie": cookie, "host": HOME}
    assert (await rig.http(headers=headers)).status == 403


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", f"https://{HOME}", "http://127.0.0.1:1", "file://"]
)
async def test_another_origin_gets_nowhere(rig, cookie, origin):
    headers = {"cookie": cookie, "origin": origin}
    assert (await rig.http(headers=headers)).status == 403
    assert [m["type"] for m in await rig.socket(headers=headers)] == ["websocket.close"]
    assert not rig.reached


async def test_a_socket_must_name_its_origin(rig, cookie):
    assert (await rig.socket(headers={"cookie": cookie}))[0]["type"] == "websocket.close"


async def test_a_socket_of_a_session_opens(rig, cookie):
    sent = await rig.socket(headers={"cookie": cookie, "origin": ORIGIN}, texts=("a", "b"))
    assert [m["type"] for m in sent] == ["websocket.accept", "websocket.send", "websocket.send"]
    assert rig.reached[0][SESSION] is not None


async def test_a_socket_without_session_is_refused(rig):
    sent = await rig.socket(headers={"origin": ORIGIN})
    assert [message["type"] for message in sent] == ["websocket.close"]
    assert not rig.reached


async def test_a_socket_ends_with_its_session(rig, cookie):
    def expire():
        rig.clock.advance(3600)

    headers = {"cookie": cookie, "origin": ORIGIN}
    sent = await rig.socket(headers=headers, texts=("a", "b"), before_text=expire)
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.close"]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"])
async def test_other_methods_are_refused(rig, cookie, method):
    assert (await rig.http(method=method, headers={"cookie": cookie})).status == 405


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_a_form_of_another_site_is_refused(rig, cookie, site):
    headers = {"cookie": cookie, "sec-fetch-site": site}
    assert (await rig.http("/x", "POST", headers=headers)).status == 403


@pytest.mark.parametrize("length", [str(MAX_BODY_BYTES + 1), "-1", "9" * 30, "abc"])
async def test_a_large_body_is_refused_by_its_claim(rig, cookie, length):
    headers = {"cookie": cookie, "content-length": length}
    assert (await rig.http("/x", "POST", headers=headers)).status == 413


async def test_a_large_body_without_claim_is_cut_off(rig, cookie):
    half = b"x" * (MAX_BODY_BYTES // 2 + 1)
    answer = await rig.http("/x", "POST", headers={"cookie": cookie}, chunks=(half, half))
    assert answer.status is None


@pytest.mark.parametrize("path", ["/", "/risk", "/_nicegui/3/static/nicegui.js", "/socket.io/"])
async def test_nothing_is_shown_without_session(rig, path):
    answer = await rig.http(path)
    assert answer.status == 401
    assert b"trading-system dashboard" in answer.body
    assert not rig.reached


@pytest.mark.parametrize("cookie", ["x", "trading_session_8123=", "trading_session_8123=abc", "="])
async def test_a_wrong_cookie_is_no_session(rig, cookie):
    assert (await rig.http(headers={"cookie": cookie})).status == 401


async def test_the_cookie_of_a_session_is_closed_to_scripts_and_other_sites(rig):
    cookie = await rig.log_in()
    assert cookie.startswith(f"trading_session_{PORT}=")
    assert cookie.endswith("; Path=/; HttpOnly; SameSite=Strict")


async def test_behind_tls_the_cookie_is_secure_and_bound_to_the_host():
    rig = Rig(public_host="trade.example")
    cookie = await rig.log_in(host="trade.example", origin="https://trade.example")
    assert cookie.startswith("__Host-trading_session=")
    assert cookie.endswith("; Path=/; HttpOnly; SameSite=Strict; Secure")
    value = cookie.split(";")[0]
    inside = await rig.http(headers={"cookie": value}, host="trade.example")
    plain = await rig.http(headers={"cookie": value})
    assert (inside.status, plain.status) == (200, 401)


async def test_every_answer_states_its_policy(rig, cookie):
    for answer in (
        await rig.http(headers={"cookie": cookie}),
        await rig.http(),
        await rig.http(host="evil.example"),
        await rig.http("/login?code=x"),
    ):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "form-action 'self'" in policy
        assert "http" not in policy
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["referrer-policy"] in {"no-referrer", "same-origin"}
        assert answer.headers["cache-control"] == "no-store"
        assert "permissions-policy" in answer.headers
        assert "server" not in answer.headers


async def test_only_pages_without_secrets_may_be_kept_by_the_browser(rig, cookie):
    answer = await rig.http("/_nicegui/3/static/nicegui.js", headers={"cookie": cookie})
    assert answer.headers["cache-control"] == "max"


async def test_a_prefix_of_a_client_is_dropped(rig, cookie):
    await rig.http(headers={"cookie": cookie, "x-forwarded-prefix": "//evil.example"})
    assert b"x-forwarded-prefix" not in dict(rig.reached[0]["headers"])


async def test_looking_at_a_link_does_not_use_it_up(rig):
    code = rig.sessions.new_link()
    for _ in range(3):
        shown = await rig.http(f"/login?code={code}")
        assert shown.status == 200
        assert code.encode() in shown.body
        assert "set-cookie" not in shown.headers
    assert rig.sessions.log_in(code) is not None


async def test_a_code_that_is_none_is_not_repeated(rig):
    answer = await rig.http("/login?code=%3Cscript%3Ealert(1)%3C/script%3E")
    assert answer.status == 401
    assert b"script" not in answer.body


async def test_the_login_page_without_a_code_says_how(rig):
    answer = await rig.http("/login")
    assert (answer.status, b"trading-system dashboard" in answer.body) == (200, True)


async def test_too_many_failed_logins_lock_the_door_for_a_minute(rig):
    body = urlencode({"code": "x" * 43}).encode()
    statuses = [(await rig.http("/login", "POST", chunks=(body,))).status for _ in range(6)]
    assert statuses == [401] * 5 + [429]
    assert (await rig.http("/login-links", "POST")).status == 429
    rig.clock.advance(60)
    assert await rig.log_in()


@pytest.mark.parametrize("body", [b"", b"code=", b"code=a&code=b", b"x" * 5000, b"\xff\xfe"])
async def test_a_form_without_one_code_logs_nobody_in(rig, body):
    assert (await rig.http("/login", "POST", chunks=(body,))).status == 401


async def test_a_broken_off_form_logs_nobody_in(rig):
    large = b"x" * (MAX_BODY_BYTES + 1)
    assert (await rig.http("/login", "POST", chunks=(large,))).status == 401


async def test_a_login_ends_the_former_one_of_this_browser(rig, cookie):
    code = rig.sessions.new_link()
    body = urlencode({"code": code}).encode()
    answer = await rig.http("/login", "POST", headers={"cookie": cookie}, chunks=(body,))
    assert answer.headers["set-cookie"].split(";")[0] != cookie
    assert (await rig.http(headers={"cookie": cookie})).status == 401


async def test_log_out_ends_the_session_and_its_cookie(rig, cookie):
    assert (await rig.http("/logout", headers={"cookie": cookie})).status == 405
    answer = await rig.http("/logout", "POST", headers={"cookie": cookie, "origin": ORIGIN})
    assert answer.status == 204
    assert answer.headers["set-cookie"].endswith("; Max-Age=0")
    assert (await rig.http(headers={"cookie": cookie})).status == 401


async def test_the_command_line_gets_a_fresh_link(rig):
    headers = {"authorization": "Bearer link-token"}
    answer = await rig.http("/login-links", "POST", headers=headers)
    code = json.loads(answer.body)["login"].removeprefix(f"{ORIGIN}/login?code=")
    assert rig.sessions.log_in(code) is not None


@pytest.mark.parametrize("given", ["", "Bearer wrong", "link-token", "Bearer \xff"])
async def test_a_link_needs_the_token_of_the_file(rig, given):
    answer = await rig.http("/login-links", "POST", headers={"authorization": given})
    assert answer.status == 401


async def test_a_link_is_for_this_machine_only():
    rig = Rig(public_host="trade.example")
    headers = {"authorization": "Bearer link-token"}
    answer = await rig.http("/login-links", "POST", headers=headers, host="trade.example")
    assert answer.status == 405
    assert (await rig.http("/login-links", headers=headers)).status == 405


async def test_lifespan_passes(rig):
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["type"])

    door = Door(app, sessions=rig.sessions, port=PORT, link_token="x", url=ORIGIN)
    await Guard(door, port=PORT)({"type": "lifespan"}, None, None)
    assert seen == ["lifespan"]


async def test_a_head_request_gets_no_body(rig):
    answer = await rig.http(method="HEAD")
    assert (answer.status, answer.body) == (401, b"")


async def test_odd_cookies_of_other_services_hide_no_session(rig, cookie):
    assert (await rig.http(headers={"cookie": f'a="[\\; x@y; {cookie}; ;=b'})).status == 200
