"""What a preflight check finds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class CheckStatus(Enum):
    """How a check ended; only FAILED keeps the system from trading."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one check.

    Parameters
    ----------
    detail : str
        What was found, with its figures.
    remedy : str
        What to do about it, empty when nothing is to be done.
    """

    name: str
    status: CheckStatus
    detail: str
    remedy: str = ""

    def as_row(self) -> dict[str, str]:
        """Return the finding as plain text by key."""
        return {
            "name": self.name,
            "status": self.status.value,
            "detail": self.detail,
            "remedy": self.remedy,
        }


def ok(name: str, detail: str) -> Finding:
    """Return a check that found nothing to do."""
    return Finding(name=name, status=CheckStatus.OK, detail=detail)


def warning(name: str, detail: str, remedy: str) -> Finding:
    """Return a check whose finding does not keep the system from trading."""
    return Finding(name=name, status=CheckStatus.WARNING, detail=detail, remedy=remedy)


def failed(name: str, detail: str, remedy: str) -> Finding:
    """Return a check whose finding must be mended first."""
    return Finding(name=name, status=CheckStatus.FAILED, detail=detail, remedy=remedy)


def is_fit(findings: Iterable[Finding]) -> bool:
    """Return whether no check failed."""
    return all(finding.status is not CheckStatus.FAILED for finding in findings)
