"""What the venue says about its request quotas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_DEFAULT_RESET_S = 1.0
_MAX_NAMES = 100
_MAX_DIGITS = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """What the venue last said about one endpoint's quota.

    Parameters
    ----------
    limit, remaining : int
        Requests per window, and those left.
    reset_ms : int
        Server time at which the window frees up, epoch milliseconds.
    """

    limit: int
    remaining: int
    reset_ms: int


class QuotaTable:
    """The newest quota of every endpoint that answered; at most 100 endpoints are kept."""

    def __init__(self) -> None:
        self._quotas: dict[str, Quota] = {}

    def __getitem__(self, name: str) -> Quota:
        return self._quotas[name]

    def __contains__(self, name: str) -> bool:
        return name in self._quotas

    def note(self, name: str, headers: Mapping[str, str]) -> None:
        """Remember what ``headers`` say about the endpoint ``name``; incomplete ones are ignored.

        Parameters
        ----------
        name : str
            Path or stream operation.
        headers : Mapping[str, str]
            Headers of the answer.
        """
        quota = quota_of(headers)
        if quota is not None and (name in self._quotas or len(self._quotas) < _MAX_NAMES):
            self._quotas[name] = quota


def quota_of(headers: Mapping[str, str]) -> Quota | None:
    """Return what ``headers`` say about the quota of their request, None if it is incomplete."""
    limit = _count(headers, "X-Bapi-Limit")
    if limit is None:
        return None
    remaining = _count(headers, "X-Bapi-Limit-Status")
    reset_ms = _count(headers, "X-Bapi-Limit-Reset-Timestamp")
    if remaining is None or reset_ms is None:
        return None
    return Quota(limit=limit, remaining=remaining, reset_ms=reset_ms)


def reset_in_s(headers: Mapping[str, str], *, now_ms: int) -> float:
    """Return the seconds until the quota is free again; 1 where the venue did not say.

    Parameters
    ----------
    headers : Mapping[str, str]
        Headers of the refusal.
    now_ms : int
        Server time, epoch milliseconds.
    """
    reset_ms = _count(headers, "X-Bapi-Limit-Reset-Timestamp")
    return _DEFAULT_RESET_S if reset_ms is None else max(0.0, (reset_ms - now_ms) / 1_000)


def _count(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(name) or headers.get(name.lower(), "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS else None
