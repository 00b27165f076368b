"""Coefficients on disk: a manifest with checksums beside plain JSON, never code.

A folder holds ``manifest.json`` and one ``<name>.json`` per model. Nothing is used before its size,
SHA-256 and format have been checked.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trading_system.domain.errors import ConfigurationError, CorruptDataError, LifecycleError

FORMAT = 1
"""Version of the manifest's layout."""
MANIFEST = "manifest.json"
SHIPPED = Path(__file__).parent / "shipped"
"""Coefficients that come with the project, where there are any."""

_MAX_BYTES = 1024 * 1024
_MAX_COEFFICIENTS = 256


class CostModelError(CorruptDataError):
    """A cost model's file is missing, changed or not understood. Consequence: it is not used."""


class UntrainedModelError(LifecycleError):
    """A cost model has no coefficients yet. Consequence: it gives no figure."""

    def __init__(self, what: str, face: str) -> None:
        super().__init__(
            f"the {what} has no coefficients: take {face}.load_shipped(), or fit(...), or "
            f"{face}.load(folder) after `trading-system train --what costs`"
        )


def has_model(folder: Path, name: str) -> bool:
    """Return whether the folder's manifest lists the model; its file is not looked at.

    Raises
    ------
    CostModelError
        If there is a manifest that is not understood.
    """
    return (folder / MANIFEST).is_file() and name in _manifest(folder)["models"]


def read_model(folder: Path, name: str) -> dict[str, Any]:
    """Return the checked content of model ``name``.

    Raises
    ------
    CostModelError
        If the manifest or the file is missing, changed, too large or not understood.
    """
    entry = _manifest(folder)["models"].get(name)
    if not isinstance(entry, dict):
        raise CostModelError(f"{folder / MANIFEST} lists no model {name!r}")
    path = folder / f"{name}.json"
    content = _read(path)
    if hashlib.sha256(content).hexdigest() != entry.get("sha256"):
        raise CostModelError(f"{path} is not the file that was trained: SHA-256 differs")
    return _object(content, path)


def write_model(
    folder: Path, name: str, content: Mapping[str, Any], *, facts: Mapping[str, Any]
) -> None:
    """Write a model and name it in the folder's manifest; other models stay listed.

    Each file replaces its predecessor in one step; a reader in between sees a checksum that
    differs and uses no model.

    Parameters
    ----------
    facts : Mapping
        What else the manifest tells of the model: data, scores, versions; JSON-safe, no clock in
        it.

    Raises
    ------
    ConfigurationError
        If the folder cannot be written.
    CostModelError
        If the folder has a manifest that is not understood.
    """
    present = _manifest(folder) if (folder / MANIFEST).is_file() else {"models": {}}
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    checksum = hashlib.sha256(text.encode("utf-8")).hexdigest()
    models = {**present["models"], name: {"sha256": checksum, **facts}}
    manifest = {"format": FORMAT, "models": dict(sorted(models.items()))}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace(folder / f"{name}.json", text)
        _replace(folder / MANIFEST, json.dumps(manifest, indent=1, allow_nan=False) + "\n")
    except OSError as e:
        raise ConfigurationError(f"models cannot be written to {folder}: {e.strerror}") from e


def number(value: object, what: str) -> float:
    """Return ``value`` if it is a finite JSON number.

    Raises
    ------
    CostModelError
        If it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise CostModelError(f"{what} must be a finite number")
    return float(value)


def numbers(value: object, what: str, *, count: int) -> tuple[float, ...]:
    """Return ``value`` if it is a list of ``count`` finite numbers.

    Raises
    ------
    CostModelError
        If it is not.
    """
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != count:
        raise CostModelError(f"{what} must hold {count} numbers")
    return tuple(number(each, what) for each in value)


def names(value: object, what: str) -> tuple[str, ...]:
    """Return ``value`` if it is a list of names, at least one, none twice.

    Raises
    ------
    CostModelError
        If it is not.
    """
    if not isinstance(value, list) or not 1 <= len(value) <= _MAX_COEFFICIENTS:
        raise CostModelError(f"{what} must be a list of names")
    if not all(isinstance(each, str) for each in value) or len(set(value)) != len(value):
        raise CostModelError(f"{what} must be a list of names")
    return tuple(value)


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    manifest = _object(_read(path), path)
    if manifest.get("format") != FORMAT or not isinstance(manifest.get("models"), dict):
        raise CostModelError(f"{path} is no manifest of format {FORMAT}")
    return manifest


def _object(content: bytes, path: Path) -> dict[str, Any]:
    try:
        value = json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as e:
        raise CostModelError(f"{path} is no JSON: {e}") from e
    if not isinstance(value, dict):
        raise CostModelError(f"{path} is no JSON object")
    return value


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            content = stream.read(_MAX_BYTES + 1)
    except OSError as e:
        raise CostModelError(f"model file {path} cannot be read: {e.strerror}") from e
    if len(content) > _MAX_BYTES:
        raise CostModelError(f"model file {path} is larger than {_MAX_BYTES} bytes")
    return content


def _replace(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is not a number")
