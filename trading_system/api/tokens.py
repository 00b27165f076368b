"""Who may ask what: two tokens, one that reads and one that also commands."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from enum import Enum

from typing_extensions import override

_SCHEME = b"Bearer "


class Role(Enum):
    """What a token allows."""

    READ = "read"
    CONTROL = "control"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """The two secrets of one run; they never show in a text.

    Parameters
    ----------
    control : str
        Allows everything.
    read : str
        Allows to look, never to command.
    """

    control: str
    read: str

    @classmethod
    def fresh(cls) -> Tokens:
        """Return two new random tokens of 256 bits each."""
        return cls(control=secrets.token_urlsafe(32), read=secrets.token_urlsafe(32))

    def role_of(self, authorization: bytes) -> Role | None:
        """Return what the value of an ``Authorization`` header allows, None if nothing.

        Both tokens are always compared, each in a time that tells nothing of it.
        """
        controls = hmac.compare_digest(authorization, _SCHEME + self.control.encode())
        reads = hmac.compare_digest(authorization, _SCHEME + self.read.encode())
        if controls:
            return Role.CONTROL
        return Role.READ if reads else None

    @override
    def __repr__(self) -> str:
        return "Tokens(...)"
