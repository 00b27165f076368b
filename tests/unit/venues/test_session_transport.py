import asyncio
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from bybit_rig import signer

from trading_system.domain.errors import Outcome, VenueUnavailable
from trading_system.domain.ports import HttpRequest
from trading_system.runtime.clock import ManualClock, SystemClock
from trading_system.venues.bybit.rest import BybitRest
from trading_system.venues.bybit.session_transport import SessionTransport


@asynccontextmanager
async def serving(handler):
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def outcome_of(url, *, timeout_s=2.0, pool_size=5):
    async with SessionTransport(clock=SystemClock(), pool_size=pool_size) as transport:
        with pytest.raises(VenueUnavailable) as caught:
            await transport.request(
                HttpRequest(method="POST", url=url, body=b"{}"), priority=1, timeout_s=timeout_s
            )
    return caught.value.outcome


async def silent(_request):
    await asyncio.Event().wait()


async def cut(request):
    request.transport.abort()
    return web.Response()


async def test_the_reply_carries_status_headers_body_and_timing():
    async def answer(request):
        return web.Response(status=418, text="x" * 100_000, headers={"X-A": request.path_qs})

    async with serving(answer) as url, SessionTransport(clock=SystemClock()) as transport:
        request = HttpRequest(method="GET", url=f"{url}/a?b=%2F")
        first = await transport.request(request, priority=3, timeout_s=2)
        second = await transport.request(request, priority=3, timeout_s=2)
    assert (first.status, len(first.body), first.headers["X-A"]) == (418, 100_000, "/a?b=%2F")
    assert first.timing.connect_ms is not None
    assert second.timing.connect_ms is None
    assert second.timing.total_ms >= second.timing.response_ms > 0


async def test_redirects_are_not_followed():
    async def away(_request):
        raise web.HTTPFound("http://127.0.0.1:9/")

    async with serving(away) as url, SessionTransport(clock=SystemClock()) as transport:
        reply = await transport.request(
            HttpRequest(method="POST", url=url, body=b""), priority=1, timeout_s=2
        )
    assert reply.status == 302


async def test_a_refused_connection_was_not_sent():
    assert await outcome_of("http://127.0.0.1:9/x") is Outcome.NOT_SENT


async def test_no_answer_in_time_is_unknown():
    async with serving(silent) as url:
        assert await outcome_of(url, timeout_s=0.1) is Outcome.UNKNOWN


async def test_a_connection_cut_before_the_answer_is_unknown():
    async with serving(cut) as url:
        assert await outcome_of(url) is Outcome.UNKNOWN


async def test_a_request_that_never_got_a_connection_was_not_sent():
    async with (
        serving(silent) as url,
        SessionTransport(clock=SystemClock(), pool_size=1) as transport,
        asyncio.TaskGroup() as group,
    ):
        request = HttpRequest(method="POST", url=url, body=b"")
        first = group.create_task(transport.request(request, priority=1, timeout_s=5))
        await asyncio.sleep(0)
        with pytest.raises(VenueUnavailable) as caught:
            await transport.request(request, priority=1, timeout_s=0.05)
        first.cancel()
    assert caught.value.outcome is Outcome.NOT_SENT


async def test_a_trickling_answer_ends_at_the_deadline_and_frees_its_connection():
    async def trickle(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"{")
        if request.path == "/slow":
            await asyncio.Event().wait()
        return response

    async with (
        serving(trickle) as url,
        SessionTransport(clock=SystemClock(), pool_size=1) as transport,
    ):
        slow = HttpRequest(method="POST", url=f"{url}/slow", body=b"")
        for _ in range(3):
            with pytest.raises(VenueUnavailable) as caught:
                await transport.request(slow, priority=1, timeout_s=0.05)
            assert caught.value.outcome is Outcome.UNKNOWN
        quick = HttpRequest(method="POST", url=f"{url}/quick", body=b"")
        assert (await transport.request(quick, priority=1, timeout_s=2)).body == b"{"


async def test_a_closed_transport_sends_nothing():
    transport = SessionTransport(clock=ManualClock())
    with pytest.raises(VenueUnavailable, match="not open"):
        await transport.request(HttpRequest(method="GET", url="http://x/"), priority=1, timeout_s=1)


async def test_a_client_without_a_transport_has_its_own_inside_its_block():
    async def answer(_request):
        return web.json_response({"retCode": 0, "result": {"a": 1}})

    async with (
        serving(answer) as url,
        BybitRest(url, signer=signer(), clock=SystemClock()) as client,
    ):
        assert bytes(await client.get("/v5/x", timeout_s=2)) == b'{"a": 1}'
    with pytest.raises(VenueUnavailable, match="not open"):
        await client.get("/v5/x", timeout_s=2)
