"""``trading-system start``: run the system until it is told to stop, then report."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from trading_system.api.server import control_api
from trading_system.cli.output import ExitCode, fail, note
from trading_system.config.settings import Settings
from trading_system.domain.errors import ConfigurationError, LifecycleError
from trading_system.enhanced_trading_system import EnhancedTradingSystem

_LOCK_FILE = "lock"
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def exclusive(data_dir: Path) -> Iterator[None]:
    """Hold the data directory's lock, so that no second system trades the same account.

    Raises
    ------
    ConfigurationError
        If another process holds it, or the directory cannot be written.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(data_dir / _LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as e:
        raise ConfigurationError(
            f"cannot write to the data directory {data_dir}: {e.strerror}; set TRADING_DATA_DIR"
        ) from e
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            raise ConfigurationError(
                f"another system runs in {data_dir}; stop it with `trading-system stop` "
                "or set TRADING_DATA_DIR to another directory"
            ) from e
        yield
    finally:
        os.close(descriptor)


def run(settings: Settings) -> tuple[ExitCode, dict[str, Any]]:
    """Run the system and return the exit code and the final status."""
    with exclusive(settings.data_dir):
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            result = runner.run(_run(settings))
        # The run is over: one more impatient Ctrl-C must not cost the report.
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        return result


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's loops where uvloop is installed, else None for asyncio's own."""
    try:
        uvloop = import_module("uvloop")
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


async def _run(settings: Settings) -> tuple[ExitCode, dict[str, Any]]:
    system = EnhancedTradingSystem(settings)
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, system.request_stop, signal.Signals(number).name)
    try:
        await system.start_system()
    except LifecycleError as e:
        # Asked to stop while it started: everything begun was undone, no order was sent.
        note(str(e))
        return ExitCode.OK, system.get_system_status()
    try:
        async with control_api(
            system,
            system,
            host=settings.api.host,
            port=settings.api.port,
            data_dir=settings.data_dir,
        ) as url:
            note(f"trading-system runs ({settings.environment}); control API {url}; Ctrl-C stops")
            if settings.duration_s is not None:
                loop.call_later(settings.duration_s, system.request_stop, "duration is over")
            await system.run_forever()
    except ConfigurationError:
        raise
    except Exception as e:  # the run failed: it was stopped in order, and the report says why
        await system.stop_system(f"failed: {e}")
        status = system.get_system_status()
        fail(f"the run failed: {e!r}")
        return ExitCode.FAILED, status
    finally:
        await system.stop_system("the command ended")
    status = system.get_system_status()
    return _verdict(status), status


def _verdict(status: dict[str, Any]) -> ExitCode:
    """Success means: positions agree, nothing is open or unknown, the state is STOPPED."""
    position = status["position"]
    agrees = position["venue"] is not None and position["local"] == position["venue"]
    is_settled = status["own_open_orders"] == 0 and status["orders"]["unknown"] == 0
    is_clean = status["state"] == "STOPPED" and agrees and is_settled
    return ExitCode.OK if is_clean else ExitCode.FAILED
