"""venue.load: the embedded venue on one core under market data and order load.

Two symbols. The venue process is pinned to one core, this process to the other. Enough public
subscriptions are held open that the venue pushes about 1,000 frames per second in total, and 50
orders per second (create and cancel in turn, ``--limits off``) are sent on a fixed schedule.
An answer's time runs from the moment it was *due* to be sent, so a stall cannot hide the requests
that waited behind it.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import time
from urllib.parse import urlsplit

import aiohttp
import numpy as np

from benchmarks.rows import Row

_SECONDS = 20.0
_WARM_S = 3.0
_ORDERS_PER_S = 50
_FRAMES_PER_S = 1_000
_P99_BAR_MS = 10.0
_TOPICS = [
    f"{topic}.{symbol}"
    for symbol in ("BTCUSDT", "ETHUSDT")
    for topic in ("orderbook.1", "orderbook.50", "orderbook.200", "publicTrade", "tickers")
]


class _Frames:
    def __init__(self) -> None:
        self.count = 0

    async def read(self, session: aiohttp.ClientSession, url: str) -> None:
        async with session.ws_connect(f"{url}/v5/public/linear") as socket:
            await socket.send_json({"op": "subscribe", "args": _TOPICS})
            async for _ in socket:
                self.count += 1


def _pin(core: int) -> None:
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[core % len(cores)]})


def _headers(ready: dict[str, str], body: str) -> dict[str, str]:
    stamp = str(time.time_ns() // 1_000_000)
    text = f"{stamp}{ready['api_key']}5000{body}"
    sign = hmac.new(ready["api_secret"].encode(), text.encode(), hashlib.sha256).hexdigest()
    return {
        "X-BAPI-API-KEY": ready["api_key"],
        "X-BAPI-TIMESTAMP": stamp,
        "X-BAPI-RECV-WINDOW": "5000",
        "X-BAPI-SIGN": sign,
        "Content-Type": "application/json",
    }


async def _post(
    session: aiohttp.ClientSession, ready: dict[str, str], path: str, fields: dict[str, str]
) -> int:
    body = json.dumps({"category": "linear", **fields})
    url = f"{ready['rest']}{path}"
    async with session.post(url, data=body, headers=_headers(ready, body)) as response:
        answer = await response.json()
    return int(answer["retCode"])


async def _order(
    session: aiohttp.ClientSession,
    ready: dict[str, str],
    number: int,
    *,
    due: float,
    times_ms: list[float],
    codes: dict[int, int],
) -> None:
    symbol, price, qty = (
        ("BTCUSDT", "60000.0", "0.001") if number % 4 < 2 else ("ETHUSDT", "3000.00", "0.01")
    )
    fields = {"symbol": symbol, "orderLinkId": f"load-{number // 2 * 2}"}
    path = "/v5/order/cancel"
    if number % 2 == 0:
        path = "/v5/order/create"
        fields |= {"side": "Buy", "orderType": "Limit", "qty": qty, "price": price}
    code = await _post(session, ready, path, fields)
    times_ms.append((asyncio.get_running_loop().time() - due) * 1_000)
    codes[code] = codes.get(code, 0) + 1


async def _measure(
    ready: dict[str, str], streams: int
) -> tuple[list[float], float, dict[int, int]]:
    loop = asyncio.get_running_loop()
    frames, times_ms, codes = _Frames(), [], {}
    connector = aiohttp.TCPConnector(limit=50)
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as group:
        readers = [group.create_task(frames.read(session, ready["ws"])) for _ in range(streams)]
        await asyncio.sleep(_WARM_S)
        before, began = frames.count, loop.time()
        async with asyncio.TaskGroup() as orders:
            for number in range(round(_SECONDS * _ORDERS_PER_S)):
                due = began + number / _ORDERS_PER_S
                await asyncio.sleep(max(0.0, due - loop.time()))
                orders.create_task(
                    _order(session, ready, number, due=due, times_ms=times_ms, codes=codes)
                )
        rate = (frames.count - before) / (loop.time() - began)
        for reader in readers:
            reader.cancel()
    return times_ms, rate, codes


async def _calibrate(ready: dict[str, str]) -> int:
    """Return how many identical subscribers make up the wanted frame rate."""
    frames = _Frames()
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        reader = group.create_task(frames.read(session, ready["ws"]))
        await asyncio.sleep(_WARM_S)
        before = frames.count
        await asyncio.sleep(_WARM_S)
        rate = (frames.count - before) / _WARM_S
        reader.cancel()
    return max(1, -(-_FRAMES_PER_S // max(1, round(rate))))


def run() -> list[Row]:
    """Return the row; the venue is started and ended here."""
    venue = subprocess.Popen(
        [sys.executable, "-m", "trading_system", "venue", "--port", "0", "--limits", "off"],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: _pin(0),  # noqa: PLW1509 - single-threaded parent
    )
    try:
        assert venue.stdout is not None
        ready = json.loads(venue.stdout.readline())
        assert urlsplit(ready["rest"]).hostname == "127.0.0.1"
        _pin(1)
        streams = asyncio.run(_calibrate(ready))
        times_ms, rate, codes = asyncio.run(_measure(ready, streams))
    finally:
        venue.send_signal(signal.SIGTERM)
        venue.wait(timeout=10)
    assert set(codes) == {0}, f"orders were refused: {codes}"
    p50, p95, p99 = (float(p) for p in np.percentile(times_ms, (50, 95, 99)))
    is_met = p99 < _P99_BAR_MS and rate >= _FRAMES_PER_S
    return [
        Row(
            id="venue.load",
            value=round(p99, 3),
            unit="ms p99 answer",
            p50=round(p50, 3),
            p95=round(p95, 3),
            p99=round(p99, 3),
            samples=len(times_ms),
            bar=f"p99 < {_P99_BAR_MS:g} ms, >= {_FRAMES_PER_S} frames/s, {_ORDERS_PER_S} orders/s",
            met=is_met,
            note=f"{rate:.0f} frames/s to {streams} subscribers, venue on one core",
        )
    ]
