"""Checks of this machine: they need no key, no venue and no network."""

from __future__ import annotations

import ctypes
import importlib
import os
import platform
import shutil
import socket
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path

from trading_system.api.address import read_address
from trading_system.cli.doctor.findings import Finding, failed, ok, warning
from trading_system.cli.lock import exclusive
from trading_system.config.settings import Settings
from trading_system.domain.errors import ConfigurationError

_OLDEST_PYTHON = (3, 11)
_MIB = 1024 * 1024
_LOW_MIB = 1024
_LEAST_MIB = 100
_SHOWN = ("numpy", "numba", "aiohttp", "uvloop", "lightgbm")
_NAME_ENDS = "<>=!~;[ ("


def check_python(
    *, oldest: tuple[int, int] = _OLDEST_PYTHON, required: Sequence[str] | None = None
) -> Finding:
    """Return whether interpreter and libraries are there; None requires what the project names."""
    name = "python"
    found = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info < oldest:
        return failed(name, found, f"install Python {'.'.join(map(str, oldest))} or newer")
    missing = [
        dist for dist in (_required() if required is None else required) if not _is_installed(dist)
    ]
    if missing:
        return failed(name, f"{found}; missing: {', '.join(missing)}", "run `make clean run`")
    versions = ", ".join(f"{dist} {version(dist)}" for dist in _SHOWN if _is_installed(dist))
    return ok(name, f"{found}; trading-system {version('trading-system')}; {versions}")


def _required() -> list[str]:
    lines = requires("trading-system") or []
    return [_distribution(line) for line in lines if "win32" not in line and "extra" not in line]


def _distribution(requirement: str) -> str:
    for position, letter in enumerate(requirement):
        if letter in _NAME_ENDS:
            return requirement[:position]
    return requirement


def _is_installed(distribution: str) -> bool:
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True


def check_lightgbm(package: str = "lightgbm") -> Finding:
    """Return whether LightGBM's library loads; it needs the system's OpenMP library."""
    name = "lightgbm library"
    remedy = "install the OpenMP runtime (Debian: `apt install libgomp1`); its agent abstains"
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return warning(name, f"{package} is not installed", "run `make clean run`")
    library = Path(spec.origin).parent / "lib" / "lib_lightgbm.so"
    try:
        ctypes.CDLL(str(library))
    except OSError as e:
        return warning(name, f"cannot be loaded: {e}", remedy)
    return ok(name, "loads")


def check_data_dir(data_dir: Path) -> Finding:
    """Return whether the data directory can be written and nobody else uses it."""
    name = "data directory"
    try:
        with exclusive(data_dir):
            return ok(name, f"{data_dir} is writable and free")
    except ConfigurationError as e:
        if read_address(data_dir) is not None:
            return warning(name, f"a system runs in {data_dir}", "none needed if it is yours")
        return failed(name, str(e).partition(";")[0], "set TRADING_DATA_DIR to a free folder")


def check_disk(data_dir: Path, *, low_mib: int = _LOW_MIB, least_mib: int = _LEAST_MIB) -> Finding:
    """Return whether there is room for journal, logs and kernels."""
    name = "disk space"
    folder = data_dir.absolute()
    while not folder.exists():
        folder = folder.parent
    free_mib = shutil.disk_usage(folder).free // _MIB
    detail = f"{free_mib} MiB free at {folder}"
    remedy = "free some space or set TRADING_DATA_DIR to another disk"
    if free_mib < least_mib:
        return failed(name, detail, remedy)
    return warning(name, detail, remedy) if free_mib < low_mib else ok(name, detail)


def check_kernels(data_dir: Path) -> Finding:
    """Return whether compiled kernels can be kept from one start to the next."""
    name = "kernel cache"
    folder = Path(os.environ.get("NUMBA_CACHE_DIR") or data_dir.absolute() / "kernels")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".probe"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as e:
        return warning(
            name,
            f"{folder} cannot be written ({e.strerror}); every start compiles anew",
            "set NUMBA_CACHE_DIR to a folder that can be written",
        )
    compiled = sum(1 for _ in folder.rglob("*.nbc"))
    state = f"{compiled} compiled kernels" if compiled else "empty; the first start compiles"
    return ok(name, f"{folder}: {state}")


def check_port(settings: Settings) -> Finding:
    """Return whether the control API can listen."""
    name = "control API"
    host, port = settings.api.host, settings.api.port
    if port == 0:
        return ok(name, f"takes a free port of {host}")
    if read_address(settings.data_dir) is not None:
        return ok(name, f"a running system listens in {settings.data_dir}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as e:
        remedy = "set TRADING_API__PORT to a free port, or to 0 for any"
        return failed(name, f"{host}:{port}: {e.strerror}", remedy)
    return ok(name, f"{host}:{port} is free")


def check_recordings(settings: Settings) -> Finding:
    """Return whether the recordings to replay can be read."""
    name = "recordings"
    if settings.venue.market != "replay":
        return ok(name, f"not needed: the market is {settings.venue.market}")
    for path in settings.venue.recording:
        if path.is_dir() and any(path.glob("part-*.parquet")):
            continue
        try:
            with path.open("rb") as opened:
                is_empty = not opened.read(1)
        except OSError as e:
            return failed(name, f"{path}: {e.strerror}", "correct TRADING_VENUE__RECORDING")
        if is_empty:
            return failed(name, f"{path} is empty", "correct TRADING_VENUE__RECORDING")
    return ok(name, f"{len(settings.venue.recording)} readable")


def check_signals(settings: Settings) -> Finding:
    """Return whether the user's own signal agents can be imported."""
    name = "own signal agents"
    for spelled in settings.strategy.signal:
        module, _, attribute = spelled.partition(":")
        try:
            found = getattr(importlib.import_module(module), attribute)
        except Exception as e:  # a user's module may raise anything
            return failed(name, f"{spelled}: {e!r}", "correct --signal or TRADING_STRATEGY__SIGNAL")
        if not callable(found):
            return failed(name, f"{spelled} is not callable", "name a class as module:Class")
    return ok(name, ", ".join(settings.strategy.signal) or "none named")


def machine_findings(settings: Settings) -> list[Finding]:
    """Return all checks of this machine for ``settings``."""
    return [
        check_python(),
        check_lightgbm(),
        check_data_dir(settings.data_dir),
        check_disk(settings.data_dir),
        check_kernels(settings.data_dir),
        check_port(settings),
        check_recordings(settings),
        check_signals(settings),
    ]
