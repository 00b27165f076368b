"""Talks to a running system through its control API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

from trading_system.api.server import API_FILE
from trading_system.cli.output import NotRunningError
from trading_system.domain.errors import TradingSystemError

_TIMEOUT_S = 5.0


def call(
    data_dir: Path, method: str, path: str, body: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the running system's JSON answer.

    Raises
    ------
    NotRunningError
        If no system runs for ``data_dir``.
    """
    url, token = _address(data_dir)
    try:
        return asyncio.run(_request(method, f"{url}{path}", token=token, body=body))
    except (aiohttp.ClientError, OSError, TimeoutError) as e:
        raise NotRunningError(
            f"the system of {data_dir} does not answer at {url}; "
            "start one with `trading-system start` or set TRADING_DATA_DIR"
        ) from e


def _address(data_dir: Path) -> tuple[str, str]:
    file = data_dir / API_FILE
    try:
        content = json.loads(file.read_text())
        return str(content["url"]), str(content["token"])
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise NotRunningError(
            f"no system runs for {data_dir}; start one with `trading-system start` "
            "or set TRADING_DATA_DIR"
        ) from e


async def _request(
    method: str, url: str, *, token: str, body: Mapping[str, Any] | None
) -> dict[str, Any]:
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.request(method, url, headers=headers, json=body) as response,
    ):
        answer: dict[str, Any] = await response.json()
        if response.status >= 400:
            raise TradingSystemError(f"control API answered {response.status}: {answer}")
        return answer
