import pytest
from bybit_rig import FakeTransport, ok, refused, rest, signer

from trading_system.domain.errors import (
    Outcome,
    VenueAuthError,
    VenueRateLimited,
    VenueRejected,
    VenueUnavailable,
)
from trading_system.runtime.clock import ManualClock
from trading_system.venues.bybit.refusals import not_sent, unknown
from trading_system.venues.bybit.rest import PRIORITY_EXIT, BybitRest

CREATE = "/v5/order/create"


def answering(*answers, path=CREATE):
    return FakeTransport().answer(path, *answers)


async def create(transport, **options):
    client = rest(transport, **options)
    return await client.post(CREATE, {"a": 1}, timeout_s=2, priority=2)


@pytest.mark.parametrize(
    ("answer", "kind", "outcome"),
    [
        (refused(110007), VenueRejected, Outcome.REJECTED),
        (refused(110072), VenueRejected, Outcome.REJECTED),
        (refused(10004), VenueAuthError, Outcome.REJECTED),
        (refused(10002), VenueAuthError, Outcome.REJECTED),
        (refused(10006), VenueRateLimited, Outcome.REJECTED),
        (refused(10016), VenueUnavailable, Outcome.UNKNOWN),
        (refused(429), VenueUnavailable, Outcome.UNKNOWN),
        ((503, ok({})), VenueUnavailable, Outcome.UNKNOWN),
        ((503, refused(110007)), VenueUnavailable, Outcome.UNKNOWN),
        ((502, "<html>bad gateway</html>"), VenueUnavailable, Outcome.UNKNOWN),
        ((429, "slow down"), VenueUnavailable, Outcome.UNKNOWN),
        ((302, ok({})), VenueUnavailable, Outcome.UNKNOWN),
        ("", VenueUnavailable, Outcome.UNKNOWN),
        ("[" * 100_000, VenueUnavailable, Outcome.UNKNOWN),
        (b"\xff\xfe{}", VenueUnavailable, Outcome.UNKNOWN),
        ('{"retMsg":"no code"}', VenueUnavailable, Outcome.UNKNOWN),
        ((401, "who are you"), VenueAuthError, Outcome.REJECTED),
        ((403, "banned"), VenueRateLimited, Outcome.REJECTED),
        (unknown("reset", operation=CREATE), VenueUnavailable, Outcome.UNKNOWN),
        (not_sent("queue full", operation=CREATE), VenueUnavailable, Outcome.NOT_SENT),
    ],
)
async def test_every_answer_has_a_typed_outcome(answer, kind, outcome):
    with pytest.raises(kind) as caught:
        await create(answering(answer))
    assert caught.value.outcome is outcome


@pytest.mark.parametrize(
    "failure", [unknown("lost", operation=CREATE), (500, "{}"), refused(10016)]
)
async def test_a_post_is_sent_once_whatever_the_answer(failure):
    transport = answering(failure)
    with pytest.raises(VenueUnavailable):
        await create(transport)
    assert [sent.path for sent in transport.sent] == [CREATE]


@pytest.mark.parametrize("code", [0, 110025, 110026, 110043])
async def test_no_change_is_success(code):
    transport = answering(f'{{"retCode":{code},"result":{{"a":1}}}}', path="/v5/x")
    assert bytes(await rest(transport).get("/v5/x", timeout_s=2)) == b'{"a":1}'


async def test_the_rate_limit_says_when_to_come_back():
    transport = answering(refused(10006))
    transport.headers = {"X-Bapi-Limit-Reset-Timestamp": "1700000000700"}
    with pytest.raises(VenueRateLimited) as caught:
        await create(transport)
    assert caught.value.retry_after_s == pytest.approx(0.7)


async def test_quotas_are_noted_per_endpoint():
    transport = answering(ok({}))
    transport.headers = {
        "X-Bapi-Limit": "10",
        "X-Bapi-Limit-Status": "7",
        "X-Bapi-Limit-Reset-Timestamp": "1700000000700",
    }
    client = rest(transport)
    await client.post(CREATE, {}, timeout_s=2, priority=2)
    assert client.quotas[CREATE].remaining == 7


async def test_after_a_ban_the_address_is_silent_for_ten_minutes():
    clock = ManualClock()
    transport = answering((403, "banned"), ok({}))
    client = rest(transport, clock=clock)
    with pytest.raises(VenueRateLimited) as caught:
        await client.post(CREATE, {}, timeout_s=2, priority=2)
    assert caught.value.retry_after_s == 600
    clock.advance(599.9)
    with pytest.raises(VenueRateLimited) as caught:
        await client.post(CREATE, {}, timeout_s=2, priority=1)
    assert caught.value.outcome is Outcome.NOT_SENT
    assert len(transport.sent) == 1
    clock.advance(0.2)
    await client.post(CREATE, {}, timeout_s=2, priority=2)
    assert client.banned_for_s == 0


async def test_a_ban_that_a_probe_of_the_transport_saw_is_a_ban_of_all_requests():
    transport = answering(ok({}))
    client = rest(transport)
    transport.silent_for_s = 480.0
    assert client.banned_for_s == 480
    with pytest.raises(VenueRateLimited) as caught:
        await client.post(CREATE, {}, timeout_s=2, priority=1)
    assert (caught.value.outcome, caught.value.retry_after_s) == (Outcome.NOT_SENT, 480)
    assert transport.sent == []


async def test_a_signed_request_without_a_key_is_not_sent():
    transport = FakeTransport()
    client = BybitRest("http://x", signer=None, clock=ManualClock(), transport=transport)
    with pytest.raises(VenueAuthError, match="TRADING_BYBIT__API_KEY"):
        await client.get("/v5/position/list", timeout_s=1, signed=True)
    with pytest.raises(VenueAuthError):
        client.auth_headers(b"")
    assert (client.requests, transport.sent) == (0, [])


async def test_the_signed_query_is_the_one_on_the_wire():
    transport = answering(ok({}), path="/v5/x")
    await rest(transport).get("/v5/x", {"b": "1 2", "a": "ä%3A"}, timeout_s=2, signed=True)
    sent = transport.sent[0]
    stamp = int(sent.headers["X-BAPI-TIMESTAMP"])
    expected = signer().headers(sent.raw_query.encode(), timestamp_ms=stamp)
    assert sent.headers["X-BAPI-SIGN"] == expected["X-BAPI-SIGN"]
    assert sent.query == {"b": "1 2", "a": "ä%3A"}


async def test_the_signed_body_is_the_one_on_the_wire():
    transport = answering(ok({}))
    await create(transport)
    sent = transport.sent[0]
    expected = signer().headers(sent.raw_body, timestamp_ms=1_700_000_000_000)
    assert sent.headers["X-BAPI-SIGN"] == expected["X-BAPI-SIGN"]
    assert sent.headers["Content-Type"] == "application/json"


async def test_requests_are_stamped_with_the_venues_time():
    transport = answering(ok({}))
    clock = ManualClock()
    client = rest(transport, clock=clock)
    now_ns = clock.monotonic_ns()
    ahead_ns = clock.utc_ns() + 3_000_000_000
    client.venue_clock.note(sent_ns=now_ns, back_ns=now_ns, server_ns=ahead_ns)
    await client.post(CREATE, {}, timeout_s=2, priority=2)
    assert transport.sent[0].headers["X-BAPI-TIMESTAMP"] == "1700000003000"
    assert client.auth_headers(b"")["X-BAPI-TIMESTAMP"] == "1700000003000"


async def test_priority_and_deadline_reach_the_transport():
    transport = answering(ok({})).answer("/v5/x", ok({}))
    client = rest(transport)
    await client.post(CREATE, {}, timeout_s=1.5, priority=PRIORITY_EXIT)
    await client.get("/v5/x", timeout_s=2.5)
    assert [(s.priority, s.timeout_s) for s in transport.sent] == [(1, 1.5), (3, 2.5)]


async def test_the_time_until_a_post_was_sent_is_told():
    heard = []
    transport = answering(ok({})).answer("/v5/x", ok({}))
    client = rest(transport, on_post_sent=heard.append)
    await client.get("/v5/x", timeout_s=1)
    await client.post(CREATE, {}, timeout_s=1, priority=2)
    assert heard == [1_500_000]


async def test_failures_are_judged_over_the_newest_requests():
    transport = answering("<html>", *[ok({})] * 200, path="/v5/x")
    client = rest(transport)
    with pytest.raises(VenueUnavailable):
        await client.get("/v5/x", timeout_s=2)
    assert client.recent == (1, 1)
    for _ in range(200):
        await client.get("/v5/x", timeout_s=2)
    assert client.recent == (0, 200)
    assert (client.failures, client.requests) == (1, 201)


async def test_a_business_refusal_is_no_failure_of_the_venue():
    client = rest(answering(refused(110007)))
    with pytest.raises(VenueRejected):
        await client.post(CREATE, {}, timeout_s=1, priority=2)
    assert client.failures == 0
