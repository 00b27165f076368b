"""The dashboard's only way to the trading system: one stream and requests with deadlines."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, repeat
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import aiohttp

from trading_system.dashboard.address import ReadAddress, read_address
from trading_system.dashboard.store import Store
from trading_system.domain.errors import TradingSystemError
from trading_system.runtime.backoff import Backoff

REQUEST_S: Final = 5.0
"""Deadline of one request to the API, seconds."""

_COMMAND_S: Final = 30.0
_CONNECT_S: Final = 5.0
_HEARTBEAT_S: Final = 5.0
_MAX_FRAME_BYTES: Final = 4 * 1024 * 1024
_RETRY: Final = Backoff(first_s=0.25, max_s=3.0, attempts=6)


class ApiError(TradingSystemError):
    """The API refused or did not answer. Consequence: show it; a command may or may not be done.

    Parameters
    ----------
    message : str
        What happened, in a sentence for people.
    status : int or None
        HTTP status, None without an answer.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class ApiLink:
    """Keeps the store fresh and carries requests; finds a restarted system by itself.

    Parameters
    ----------
    data_dir : Path
        Where a running system announces its API.
    store : Store
        What frames are put into.
    rng : random.Random
        Jitter of the back-off.
    """

    def __init__(
        self, data_dir: Path, *, store: Store, rng: random.Random, retry: Backoff = _RETRY
    ) -> None:
        self._data_dir = data_dir
        self._rng = rng
        self._retry = retry
        self._wanted: dict[str, frozenset[str]] = {}
        self._changed = asyncio.Event()
        self._address: ReadAddress | None = None
        self._http: aiohttp.ClientSession | None = None
        self.store = store

    def want(self, reader: str, topics: Iterable[str]) -> None:
        """Let the stream carry ``topics`` for ``reader``, instead of those it wanted before."""
        self._wanted[reader] = frozenset(topics)
        self._changed.set()

    def unwant(self, reader: str) -> None:
        """Forget ``reader`` and its topics."""
        self._wanted.pop(reader, None)
        self._changed.set()

    async def run(self) -> None:
        """Keep the stream open until cancelled; every failure is a word in the store."""
        async with aiohttp.ClientSession(trust_env=False) as self._http:
            pauses = self._pauses()
            while True:
                before = self.store.changes
                try:
                    await self._follow(self._http)
                except (aiohttp.ClientError, OSError, ApiError, ValueError) as e:
                    self.store.lost(_in_words(e))
                if self.store.changes != before:
                    pauses = self._pauses()
                await asyncio.sleep(next(pauses))

    def _pauses(self) -> Iterator[float]:
        return chain(self._retry.delays(self._rng), repeat(self._retry.max_s))

    async def _follow(self, http: aiohttp.ClientSession) -> None:
        address = read_address(self._data_dir)
        if address is None:
            raise ApiError(
                "the trading system is not running for this data directory; "
                "start it with: trading-system start"
            )
        if self._address is not None and address != self._address:
            self.store.forget()
        self._address = address
        connecting = http.ws_connect(
            f"{address.url}/stream",
            headers=_bearer(address.token),
            heartbeat=_HEARTBEAT_S,
            max_msg_size=_MAX_FRAME_BYTES,
        )
        async with asyncio.timeout(_CONNECT_S):
            socket = await connecting
        async with socket:
            self.store.connected()
            failure: Exception = ApiError("the trading system closed the connection; trying again")
            async with asyncio.TaskGroup() as group:
                subscribing = group.create_task(self._subscribe(socket), name="subscribe")
                try:
                    await self._receive(socket)
                except (aiohttp.ClientError, OSError, ValueError) as e:
                    failure = e  # carried out of the group, which would wrap it
                finally:
                    subscribing.cancel()
        raise failure

    async def _subscribe(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        sent: frozenset[str] | None = None
        while True:
            self._changed.clear()
            wanted = frozenset().union(*self._wanted.values())
            if wanted != sent:
                try:
                    await socket.send_json({"subscribe": sorted(wanted)})
                except (ConnectionError, RuntimeError):
                    return  # the socket closes; the reader of it says so
                sent = wanted
            await self._changed.wait()

    async def _receive(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                continue
            frame = json.loads(message.data)
            if isinstance(frame, dict) and isinstance(frame.get("data"), dict):
                self.store.put(str(frame.get("topic")), frame["data"])

    async def get(self, path: str, query: Mapping[str, object] | None = None) -> dict[str, Any]:
        """Return the answer to a read.

        Raises
        ------
        ApiError
            If there was no answer within :data:`REQUEST_S`, or a refusal.
        """
        given = {key: str(value) for key, value in (query or {}).items() if value is not None}
        return await self._request("GET", path, query=given)

    async def post(self, path: str, body: Mapping[str, Any], *, token: str) -> dict[str, Any]:
        """Send a command with the control ``token`` and return the answer.

        Raises
        ------
        ApiError
            If it was refused, or not answered: then the command may or may not have been done.
        """
        return await self._request("POST", path, body=body, token=token)

    async def role_of(self, token: str) -> str | None:
        """Return what ``token`` may do, ``read`` or ``control``; None if the API does not know it.

        Raises
        ------
        ApiError
            If there was no answer, or the API is locked after too many wrong tokens.
        """
        if not token or not token.isascii() or not token.isprintable():
            return None
        try:
            answer = await self._request("GET", "/whoami", token=token)
        except ApiError as e:
            if e.status in {401, 403}:
                return None
            raise
        return str(answer.get("role"))

    async def _request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        token: str | None = None,
    ) -> dict[str, Any]:
        address = self._address or read_address(self._data_dir)
        if address is None or self._http is None:
            raise ApiError(self.store.problem or "not connected to the trading system")
        timeout = aiohttp.ClientTimeout(total=REQUEST_S if method == "GET" else _COMMAND_S)
        try:
            async with self._http.request(
                method,
                address.url + quote(path, safe="/"),
                params=query,
                json=body,
                headers=_bearer(token or address.token),
                timeout=timeout,
                allow_redirects=False,
            ) as answer:
                return _content(answer.status, await answer.read())
        except TimeoutError as e:
            doubt = (
                "" if method == "GET" else "; whether it was done is not known, look at the state"
            )
            raise ApiError(
                f"the trading system did not answer {path} within {timeout.total:g} s{doubt}"
            ) from e
        except aiohttp.ClientError as e:
            raise ApiError(_in_words(e)) from e


def _content(status: int, body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise ApiError(f"the trading system answered nothing readable ({status})", status=status)
    if status >= 400:
        error = content.get("error") or content.get("detail") or "no reason given"
        raise ApiError(f"refused ({status}): {error}", status=status)
    return content


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _in_words(error: BaseException) -> str:
    if isinstance(error, ApiError):
        return str(error)
    if isinstance(error, aiohttp.WSServerHandshakeError):
        return f"the trading system refused the connection ({error.status}); trying again"
    if isinstance(error, aiohttp.ClientConnectorError | ConnectionError):
        return "the trading system does not answer; it may have ended. Trying again"
    return f"the connection to the trading system failed ({type(error).__name__}); trying again"
