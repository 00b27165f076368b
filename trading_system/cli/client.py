"""Talks to a running system through its control API.

Built on the standard library, so that a command that only asks answers at once.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from trading_system.api.address import ApiAddress, read_address
from trading_system.cli.output import NotRunningError
from trading_system.domain.errors import ConfigurationError, TradingSystemError

_TIMEOUT_S = 5.0
_DASHBOARD_FILE = "dashboard.json"


def call(
    data_dir: Path,
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    *,
    timeout_s: float = _TIMEOUT_S,
) -> dict[str, Any]:
    """Return the running system's JSON answer.

    Raises
    ------
    NotRunningError
        If no system runs for ``data_dir``; nothing was sent.
    ConfigurationError
        If the running system refuses the command's values.
    TradingSystemError
        If it refuses the command, or does not answer within ``timeout_s``.
    """
    address = read_address(data_dir)
    if address is None:
        raise NotRunningError(
            f"no system runs for {data_dir}; start one with `trading-system start` "
            "or set TRADING_DATA_DIR"
        )
    status, text = _exchange(address, method, path, body, timeout_s=timeout_s, data_dir=data_dir)
    return _judged(status, text)


def login_link(data_dir: Path, *, timeout_s: float = _TIMEOUT_S) -> dict[str, Any] | None:
    """Return the answer with a fresh ``login`` link of the dashboard, None if none runs."""
    try:
        content = json.loads((data_dir / _DASHBOARD_FILE).read_text())
        address = ApiAddress(str(content["url"]), str(content["link_token"]), "")
    except (OSError, ValueError, KeyError, TypeError):
        return None
    try:
        status, text = _exchange(
            address, "POST", "/login-links", {}, timeout_s=timeout_s, data_dir=data_dir
        )
    except NotRunningError:
        return None  # the file of a dashboard that was killed
    return _judged(status, text)


def public_login(link: str, public_host: str) -> str:
    """Return the login ``link`` under the name of the TLS proxy, unchanged without one."""
    if not public_host:
        return link
    return urlsplit(link)._replace(scheme="https", netloc=public_host).geturl()


def _exchange(
    address: ApiAddress,
    method: str,
    path: str,
    body: Mapping[str, Any] | None,
    *,
    timeout_s: float,
    data_dir: Path,
) -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {address.token}", "Content-Type": "application/json"}
    content = None if body is None else json.dumps(body).encode()
    connection = http.client.HTTPConnection(urlsplit(address.url).netloc, timeout=timeout_s)
    try:
        _connect(connection, address, data_dir)
        try:
            connection.request(method, path, body=content, headers=headers)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as e:
            unsure = "" if method == "GET" else "the command may be in force all the same; "
            raise TradingSystemError(
                f"the system of {data_dir} did not answer within {timeout_s:g} s at {address.url}; "
                f"{unsure}look with `trading-system status`"
            ) from e
    finally:
        connection.close()


def _connect(connection: http.client.HTTPConnection, address: ApiAddress, data_dir: Path) -> None:
    try:
        connection.connect()
    except OSError as e:
        raise NotRunningError(
            f"the system of {data_dir} does not answer at {address.url}; "
            "start one with `trading-system start` or set TRADING_DATA_DIR"
        ) from e


def _judged(status: int, text: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise TradingSystemError(f"the control API answered {status} without a JSON object")
    if status < HTTPStatus.BAD_REQUEST:
        return answer
    message = str(answer.get("error", answer))
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:
        raise ConfigurationError(message)
    raise TradingSystemError(message)
