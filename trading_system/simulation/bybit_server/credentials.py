"""Who sends a signed request, and whether it may."""

from __future__ import annotations

from collections.abc import Mapping

from trading_system.simulation.bybit_server.signing import (
    is_signed,
    is_signed_rsa,
    request_text,
)
from trading_system.simulation.records import AccountSpec, VenueReject

DEFAULT_WINDOW_MS = 5_000
NO_SUCH_KEY = "API key is invalid: use one of the keys that this venue announced at its start."
_FUTURE_MS = 1_000
CREDENTIAL_HEADERS = ("X-BAPI-API-KEY", "X-BAPI-TIMESTAMP", "X-BAPI-SIGN")


def has_credentials(headers: Mapping[str, str]) -> bool:
    """Return whether every header of a signed request is there."""
    return all(headers.get(name) for name in CREDENTIAL_HEADERS)


def identify(
    headers: Mapping[str, str],
    payload: bytes,
    accounts: Mapping[str, AccountSpec],
    *,
    now_ms: int,
    address: str,
) -> AccountSpec:
    """Return the account that signed ``payload`` (raw query string or body).

    Raises
    ------
    VenueReject
        10003 unknown key, 33004 expired key, 10010 foreign address, 10002 outside the time window,
        10004 wrong signature; in that order.
    """
    account = key_owner(headers["X-BAPI-API-KEY"], accounts, now_ms=now_ms, address=address)
    timestamp = headers["X-BAPI-TIMESTAMP"]
    window = headers.get("X-BAPI-RECV-WINDOW", "")
    check_time(timestamp, window, now_ms=now_ms)
    text = request_text(
        timestamp=timestamp, api_key=account.api_key, window=window, payload=payload
    )
    if not is_signed_by(account, text, headers["X-BAPI-SIGN"]):
        raise VenueReject(10004, "error sign! please check your signature generation algorithm.")
    return account


def key_owner(
    key: str, accounts: Mapping[str, AccountSpec], *, now_ms: int, address: str
) -> AccountSpec:
    """Return the account of an API key that may be used now, from ``address``.

    Raises
    ------
    VenueReject
        10003 unknown, 33004 expired, 10010 address not allowed.
    """
    account = accounts.get(key)
    if account is None:
        raise VenueReject(10003, NO_SUCH_KEY)
    if account.expires_ms is not None and account.expires_ms <= now_ms:
        raise VenueReject(33004, "Your api key has expired.")
    if account.allowed_ips and address not in account.allowed_ips:
        raise VenueReject(10010, "Unmatched IP, please check your API key's bound IP addresses.")
    return account


def is_signed_by(account: AccountSpec, text: bytes, signature: str) -> bool:
    """Return whether an account's key signed ``text``, by RSA if it has a public key."""
    if account.rsa_public_key:
        return is_signed_rsa(account.rsa_public_key, text, signature)
    return is_signed(account.api_secret, text, signature)


def check_time(timestamp: str, window: str, *, now_ms: int) -> None:
    """Refuse (10002) what was stamped too long ago or more than a second ahead."""
    stamp, width = _number(timestamp), _number(window or str(DEFAULT_WINDOW_MS))
    if not now_ms - width <= stamp < now_ms + _FUTURE_MS:
        raise VenueReject(
            10002,
            "invalid request, please check your server timestamp or recv_window param. "
            f"req_timestamp[{stamp}],server_timestamp[{now_ms}],recv_window[{width}]",
        )


def check_permission(account: AccountSpec) -> None:
    """Refuse (10005) anything that acts, with a read-only key."""
    if account.read_only:
        raise VenueReject(10005, "Permission denied, please check your API key permissions.")


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 17):
        raise VenueReject(10002, "invalid request, timestamp or recv_window is not a number")
    return int(text)
