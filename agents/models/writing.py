"""Writes trained models and the manifest that vouches for them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agents.artifacts import FORMAT, MANIFEST, Scaling
from agents.models.fitting import FittedModel
from trading_system.domain.errors import ConfigurationError
from trading_system.domain.signals import FEATURE_NAMES


def write_models(
    folder: Path, models: Sequence[tuple[FittedModel, Scaling]], *, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Write every model, then the manifest, and return the manifest.

    Each file replaces its predecessor in one step. A reader that comes between two of them sees
    a checksum that differs and uses no model.

    Parameters
    ----------
    facts : Mapping
        What else the manifest tells: command, data, scores, versions; JSON-safe, no clock in it.

    Raises
    ------
    ConfigurationError
        If the folder cannot be written.
    """
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "features": list(FEATURE_NAMES),
        **facts,
        "models": {model.name: _entry(model, scaling) for model, scaling in models},
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for model, _ in models:
            _replace(folder / model.file, model.text)
        _replace(folder / MANIFEST, json.dumps(manifest, indent=1, allow_nan=False) + "\n")
    except OSError as e:
        raise ConfigurationError(f"models cannot be written to {folder}: {e.strerror}") from e
    return manifest


def _entry(model: FittedModel, scaling: Scaling) -> dict[str, Any]:
    content = model.text.encode("ascii")
    return {
        "file": model.file,
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "scaling": asdict(scaling),
    }


def _replace(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(text.encode("ascii"))
    partial.replace(path)
