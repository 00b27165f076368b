"""Whose keys the server accepts, from where and until when; what a demo account lacks."""

import base64
from dataclasses import replace
from functools import cache

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from server_rig import PLAIN, READER, TRADER, auth, serving

from trading_system.domain.errors import ConfigurationError
from trading_system.simulation.bybit_server.signing import (
    is_signed_rsa,
    read_key,
    request_text,
    stream_text,
)

INFO = "/v5/account/info"


@cache
def private_key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def signature(text):
    return base64.b64encode(private_key().sign(text, padding.PKCS1v15(), SHA256())).decode()


def rsa_account():
    return replace(TRADER, api_key="rsaKey", api_secret="", rsa_public_key=pem(private_key()))


async def ask(client, sign, *, account):
    headers = client.headers(b"", account=account)
    stamp = headers["X-BAPI-TIMESTAMP"]
    text = request_text(timestamp=stamp, api_key=account.api_key, window="5000", payload=b"")
    headers["X-BAPI-SIGN"] = sign(text)
    async with client.http.get(client.server.rest_url + INFO, headers=headers) as reply:
        return (await reply.json())["retCode"]


async def test_rsa_key_signs_requests_and_streams():
    account = rsa_account()
    async with serving(accounts=[account]) as client:
        assert await ask(client, signature, account=account) == 0
        assert await ask(client, lambda text: signature(text + b"x"), account=account) == 10004
        expires = client.now_ms() + 5000
        answers = []
        for path, shift in (("/v5/private", 0), ("/v5/trade", 0), ("/v5/private", 1)):
            text = stream_text(str(expires + shift))
            request = {"op": "auth", "args": [account.api_key, expires, signature(text)]}
            async with client.stream(path) as ws:
                await ws.send_json(request)
                answers.append(await ws.receive_json(timeout=5))
        verdicts = [each.get("success", each.get("retCode")) for each in answers]
        assert verdicts == [True, 0, False]


@pytest.mark.parametrize("given", ["", "@@@", "é", "QUJD", "A" * 2000])
def test_other_text_is_no_rsa_signature(given):
    assert not is_signed_rsa(pem(private_key()), b"text", given)


def test_only_a_public_rsa_key_is_read(tmp_path):
    path = tmp_path / "key.pem"
    path.write_text(pem(private_key()))
    assert read_key(path) == pem(private_key())
    for text in ("", "x", pem(ec.generate_private_key(ec.SECP256R1()))):
        path.write_text(text)
        with pytest.raises(ConfigurationError, match="no public RSA key: make one with openssl"):
            read_key(path)
    with pytest.raises(ConfigurationError, match="No such file"):
        read_key(tmp_path / "other")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"expires_ms": 1}, 33004),
        ({"expires_ms": 10**14}, 0),
        ({"allowed_ips": ("10.0.0.1",)}, 10010),
        ({"allowed_ips": ("10.0.0.1", "127.0.0.1")}, 0),
        ({"expires_ms": 1, "allowed_ips": ("10.0.0.1",)}, 33004),
    ],
)
async def test_key_is_refused_when_expired_or_from_elsewhere(change, code):
    account = replace(TRADER, **change)
    async with serving(accounts=[account]) as client:
        # The key is judged before stamp and signature.
        asked = [client.get(INFO), client.get(INFO, shift_ms=-9_000), client.get(INFO, secret="x")]
        codes = [(await each)["retCode"] for each in asked]
        assert codes == ([code] * 3 if code else [0, 10002, 10004])
        async with client.stream("/v5/private") as ws:
            await ws.send_json(auth(client.now_ms(), account=account))
            assert (await ws.receive_json(timeout=5))["success"] is (code == 0)


async def test_key_says_what_it_is():
    key = {
        "parent_uid": 7,
        "can_withdraw": True,
        "allowed_ips": ("127.0.0.1",),
        "expires_ms": 4_102_444_801_000,
    }
    async with serving(accounts=[replace(TRADER, **key), READER]) as client:
        ours = (await client.get("/v5/user/query-api"))["result"]
        plain = (await client.get("/v5/user/query-api", account=READER))["result"]
    names = ("isMaster", "parentUid", "ips", "readOnly")
    assert [ours[name] for name in names] == [False, "7", ["127.0.0.1"], 0]
    assert [plain[name] for name in names] == [True, "0", ["*"], 1]
    assert (ours["expiredAt"], plain["expiredAt"]) == (
        "2100-01-01T00:00:01Z",
        "2100-01-01T00:00:00Z",
    )
    assert "Withdraw" in ours["permissions"]["Wallet"]
    assert plain["permissions"]["Wallet"] == []


async def test_permission_is_asked_after_the_signature_and_before_the_quota():
    async with serving() as client:
        path, body = "/v5/order/create", {"category": "nonsense"}
        wrong = await client.post(path, body, account=READER, secret="x")
        assert wrong["retCode"] == 10004
        codes = {(await client.post(path, body, account=READER))["retCode"] for _ in range(15)}
        assert codes == {10005}


async def test_demo_lacks_what_bybits_demo_lacks():
    async with serving(profile="demo") as client:
        for path in ("/v5/trade", "/v5/public/linear", "/v5/public/spot"):
            with pytest.raises(aiohttp.WSServerHandshakeError, match="404"):
                async with client.stream(path):
                    pass
        for path in ("/v5/account/fee-rate", "/v5/account/query-dcp-info"):
            assert (await client.get(path, "category=linear"))["retCode"] == 10017
        order = {"symbol": "ABCUSDT", "side": "Buy", "orderType": "Limit", "qty": "5"}
        batch = {"request": [{**order, "price": "9.90"}]}
        path = "/v5/order/create-batch"
        assert (await client.post(path, {**batch, "category": "spot"}))["retCode"] == 10001
        assert (await client.post(path, {**batch, "category": "linear"}))["retCode"] == 0
        dcp = await client.post("/v5/order/disconnected-cancel-all", {"timeWindow": 10})
        assert dcp["retCode"] == 10017
        async with client.private("order") as ws:
            await client.create(**PLAIN, price="9.90")
            assert (await ws.receive_json(timeout=5))["topic"] == "order"


@pytest.mark.parametrize("allowed", [True, False])
async def test_compression_is_agreed_to_only_when_offered(allowed):
    async with serving(compression=allowed) as client:
        url = client.server.ws_url + "/v5/public/linear"
        topics = {"op": "subscribe", "args": ["orderbook.50.ABCUSDT"]}
        for offered in (15, 0):
            async with client.http.ws_connect(url, compress=offered) as ws:
                assert bool(ws.compress) is (allowed and bool(offered))
                await ws.send_json(topics)
                frames = [await ws.receive_json(timeout=5) for _ in range(2)]
                assert [frames[0]["success"], frames[1]["type"]] == [True, "snapshot"]


async def test_too_many_new_connections_of_an_address_are_refused():
    async with serving() as client:
        for _ in range(500):
            client.server._limits.take_connection("127.0.0.1", now_ms=client.now_ms())
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            async with client.stream("/v5/private"):
                pass
