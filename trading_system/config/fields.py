"""What all settings sections are made of: the frozen base and the types of their fields."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
)


def _split_paths(value: object) -> object:
    if isinstance(value, str):
        return tuple(Path(part) for part in value.split(os.pathsep) if part)
    return value


def _base_url(schemes: tuple[str, ...], url: str) -> str:
    parts = urlsplit(url)
    wanted = " or ".join(f"{scheme}://" for scheme in schemes)
    if parts.scheme not in schemes or not parts.hostname:
        raise ValueError(f"must be a base address that starts with {wanted}")
    if parts.username or parts.query or parts.fragment or parts.path.strip("/"):
        raise ValueError("must be a base address without path, query or credentials")
    _ = parts.port  # a port out of range raises here
    return url.rstrip("/")


def _rest_url(url: str) -> str:
    return _base_url(("http", "https"), url)


def _ws_url(url: str) -> str:
    return _base_url(("ws", "wss"), url)


def loopback(host: str) -> str:
    """Return ``host`` if it is this machine's own address, else raise ``ValueError``."""
    if host not in {"127.0.0.1", "::1", "localhost"}:
        raise ValueError("must be 127.0.0.1, ::1 or localhost: the API is for this machine only")
    return host


def _split_secrets(value: object) -> object:
    return tuple(value.split()) if isinstance(value, str) else value


def split_names(value: object) -> object:
    """Return a text's names, separated by commas, as a tuple; anything else as it is."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


SignalName = Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
SignalList = Annotated[tuple[SignalName, ...], BeforeValidator(split_names)]
SecretList = Annotated[tuple[SecretStr, ...], BeforeValidator(_split_secrets)]
PathList = Annotated[tuple[Path, ...], BeforeValidator(_split_paths)]
RestUrl = Annotated[str, AfterValidator(_rest_url)]
WsUrl = Annotated[str, AfterValidator(_ws_url)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Money = Annotated[Decimal, Field(gt=0, le=1_000_000_000)]


class Section(BaseModel):
    """What all sections share: frozen, no unknown keys, finite numbers, no input in errors."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        hide_input_in_errors=True,
        validate_by_alias=True,
        validate_by_name=True,
        validate_default=True,
    )
