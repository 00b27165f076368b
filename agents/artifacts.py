"""Model files on disk: a manifest with checksums, plain JSON and LightGBM text, never code.

A folder of models holds ``manifest.json`` and the files that it lists. Nothing is used before its
size, SHA-256, format and feature names have been checked, and a file can only be data: JSON
numbers, or LightGBM's text whose parser is the library's own.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trading_system.domain.errors import CorruptDataError
from trading_system.domain.signals import FEATURE_NAMES

FORMAT = 1
"""Version of the manifest's layout."""
MANIFEST = "manifest.json"
SHIPPED = Path(__file__).parent / "shipped"
"""Models that come with the project, trained on the synthetic market."""

_MAX_BYTES = 4 * 1024 * 1024


class ModelFileError(CorruptDataError):
    """A model file is missing, changed or not made for these features.

    Consequence: the model is not used; its agent abstains and says why.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """How a model's score relates to moves of the market it was trained on.

    Parameters
    ----------
    horizon_s : float
        How far ahead the score looks, seconds.
    learning_share : float
        Part of the score that was realised within one second.
    noise : float
        Squared error of the score over the variance of a random walk of the measured volatility.
    """

    horizon_s: float
    learning_share: float
    noise: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One checked model file.

    Parameters
    ----------
    text : str
        The file's content.
    scaling : Scaling
        From the manifest.
    """

    name: str
    text: str
    scaling: Scaling


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of ``folder``.

    Raises
    ------
    ModelFileError
        If it is missing, no JSON object, of another format or for other features.
    """
    manifest = read_object(_read(folder / MANIFEST).decode("utf-8", "replace"), MANIFEST)
    if manifest.get("format") != FORMAT:
        raise ModelFileError(f"{folder / MANIFEST} has format {manifest.get('format')!r}")
    if manifest.get("features") != list(FEATURE_NAMES):
        raise ModelFileError(f"{folder / MANIFEST} was made for other features: train again")
    if not isinstance(manifest.get("models"), dict):
        raise ModelFileError(f"{folder / MANIFEST} lists no models")
    return manifest


def load(name: str, *, folder: Path = SHIPPED) -> Artifact:
    """Return the checked model ``name`` of ``folder``.

    Raises
    ------
    ModelFileError
        If the manifest or the file is missing, changed, too large or not understood.
    """
    entry = read_manifest(folder)["models"].get(name)
    if not isinstance(entry, dict):
        raise ModelFileError(f"{folder / MANIFEST} lists no model {name!r}")
    file = entry.get("file")
    if not isinstance(file, str) or Path(file).name != file:
        raise ModelFileError(f"model {name!r} names no file of its folder")
    content = _read(folder / file)
    if hashlib.sha256(content).hexdigest() != entry.get("sha256"):
        raise ModelFileError(f"{folder / file} is not the file that was trained: SHA-256 differs")
    try:
        text = content.decode("ascii")
    except UnicodeDecodeError as e:
        raise ModelFileError(f"{folder / file} is no text") from e
    return Artifact(name=name, text=text, scaling=_scaling(entry.get("scaling"), name))


def read_object(text: str, what: str) -> dict[str, Any]:
    """Return the JSON object that ``text`` holds; NaN and infinities are refused.

    Raises
    ------
    ModelFileError
        If it holds anything else.
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as e:
        raise ModelFileError(f"{what} is no JSON: {e}") from e
    if not isinstance(value, dict):
        raise ModelFileError(f"{what} is no JSON object")
    return value


def finite(value: object, what: str) -> float:
    """Return ``value`` if it is a finite JSON number.

    Raises
    ------
    ModelFileError
        If it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ModelFileError(f"{what} must be a finite number")
    return float(value)


def finite_row(value: object, what: str) -> tuple[float, ...]:
    """Return ``value`` if it holds one finite number per feature.

    Raises
    ------
    ModelFileError
        If it does not.
    """
    if not isinstance(value, list) or len(value) != len(FEATURE_NAMES):
        raise ModelFileError(f"{what} must hold {len(FEATURE_NAMES)} numbers")
    return tuple(finite(each, what) for each in value)


def _scaling(value: object, name: str) -> Scaling:
    if not isinstance(value, dict):
        raise ModelFileError(f"model {name!r} has no scaling")
    numbers = {key: finite(value.get(key), f"{name} {key}") for key in Scaling.__slots__}
    if min(numbers.values()) <= 0:
        raise ModelFileError(f"the scaling of model {name!r} must be positive")
    return Scaling(**numbers)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            content = stream.read(_MAX_BYTES + 1)
    except OSError as e:
        raise ModelFileError(f"model file {path} cannot be read: {e.strerror}") from e
    if len(content) > _MAX_BYTES:
        raise ModelFileError(f"model file {path} is larger than {_MAX_BYTES} bytes")
    return content


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is not a number")
