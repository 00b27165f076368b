"""What the three WebSocket channels share: requests, answers, authentication."""

from __future__ import annotations

import re
from collections.abc import Mapping

from trading_system.simulation.bybit_server.credentials import is_signed_by, key_owner
from trading_system.simulation.bybit_server.parameters import decode_json
from trading_system.simulation.bybit_server.signing import stream_text
from trading_system.simulation.records import AccountSpec, VenueReject

MAX_ARGS_CHARACTERS = 21_000
MAX_ARGS = 2_000
_MAX_ID = 128
_ACTIVE_TIME = re.compile(r"(?:^|&)max_active_time=(\d{1,4})(s|m)(?:&|$)")
_SHORTEST_IDLE_S = 30
_LONGEST_IDLE_S = 600


def read_request(text: str) -> dict[str, object] | None:
    """Return the JSON object in a frame, None if there is none."""
    try:
        value = decode_json(text)
    except VenueReject:
        return None
    return value if isinstance(value, dict) else None


def operation_of(request: Mapping[str, object]) -> str:
    """Return the ``op`` of a request, "" if it is no text, cut to 64 characters."""
    operation = request.get("op")
    return operation[:64] if isinstance(operation, str) else ""


def request_id(request: Mapping[str, object], name: str) -> object:
    """Return the client's id with its own JSON type, None if absent or unreasonable."""
    value = request.get(name)
    if isinstance(value, str) and len(value) <= _MAX_ID:
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        return value
    return None


def topic_list(request: Mapping[str, object]) -> list[str] | None:
    """Return the topics of a subscribe or unsubscribe, None if malformed or too many."""
    args = request.get("args")
    if not isinstance(args, list) or not 1 <= len(args) <= MAX_ARGS:
        return None
    topics: list[str] = []
    for item in args:
        if not isinstance(item, str):
            return None
        topics.append(item)
    return topics if sum(map(len, topics)) <= MAX_ARGS_CHARACTERS else None


def authenticate(
    request: Mapping[str, object],
    accounts: Mapping[str, AccountSpec],
    *,
    now_ms: int,
    address: str,
) -> AccountSpec:
    """Return the account whose key signed an ``auth`` request.

    Raises
    ------
    VenueReject
        10001 malformed, 10003 unknown key, 33004 expired key, 10010 foreign address, 10004 expired
        request or wrong signature.
    """
    args = request.get("args")
    if not isinstance(args, list) or len(args) < 3:
        raise VenueReject(10001, "auth needs key, expires and signature")
    key, expires, signature = args[:3]
    if isinstance(expires, bool) or not isinstance(expires, int | str):
        raise VenueReject(10001, "expires must be a timestamp")
    if isinstance(expires, int) and not 0 <= expires < 10**17:
        raise VenueReject(10001, "expires must be a timestamp in milliseconds")
    text = str(expires)
    if not (text.isascii() and text.isdigit() and len(text) <= 17):
        raise VenueReject(10001, "expires must be a timestamp in milliseconds")
    if not isinstance(key, str) or not isinstance(signature, str):
        raise VenueReject(10001, "key and signature must be text")
    account = key_owner(key, accounts, now_ms=now_ms, address=address)
    if int(text) <= now_ms:
        raise VenueReject(10004, "Params Error: expires is in the past")
    if not is_signed_by(account, stream_text(text), signature):
        raise VenueReject(10004, "error sign!")
    return account


def idle_limit_s(query: str, *, default_s: float) -> float:
    """Return how long a connection may stay silent: ``max_active_time`` from 30 s to 10 min."""
    match = _ACTIVE_TIME.search(query)
    if match is None:
        return default_s
    seconds = int(match[1]) * (60 if match[2] == "m" else 1)
    return float(min(max(seconds, _SHORTEST_IDLE_S), _LONGEST_IDLE_S))
