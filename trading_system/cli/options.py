"""What commands share: their options' types and the late loading of their parts."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Write the result as one JSON document.")]
Environment = Annotated[str | None, typer.Option(help="simulated, testnet, demo or mainnet.")]


def part(name: str) -> Any:  # noqa: ANN401 - a module
    """Return a module of the system, imported only when a command needs it."""
    return import_module(f"trading_system.{name}")


def settings_with(given: dict[str, Any], *, only_reads: bool = False) -> Any:  # noqa: ANN401 - Settings, loaded late
    """Return the settings with the options that were given on the command line.

    Their secrets are masked in everything that is logged from now on.
    """
    settings = part("config.settings").load_settings(
        {key: value for key, value in given.items() if value is not None}, only_reads=only_reads
    )
    part("monitoring.redaction").REDACTOR.learn(settings)
    return settings


def keep_kernels(data_dir: Path) -> None:
    """Let compiled kernels be kept beside the data; before the part that compiles is imported."""
    # numba reads this once, when it is first imported.
    os.environ.setdefault("NUMBA_CACHE_DIR", str(data_dir.absolute() / "kernels"))
