"""``trading-system start``: run the system until it is told to stop, then report."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from importlib import import_module
from typing import Any

from trading_system.api.server import control_api
from trading_system.cli.client import public_login
from trading_system.cli.dashboard_process import dashboard_beside
from trading_system.cli.lock import exclusive
from trading_system.cli.output import ExitCode, fail, note
from trading_system.config.settings import Settings
from trading_system.domain.errors import ConfigurationError, LifecycleError
from trading_system.enhanced_trading_system import EnhancedTradingSystem

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


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
    # The API comes first: a taken port is known before anything starts, and a start can be
    # watched and stopped from outside.
    async with control_api(
        system,
        system,
        system.inspection,
        host=settings.api.host,
        port=settings.api.port,
        data_dir=settings.data_dir,
    ) as url:
        return await _start_and_serve(system, settings, url)


async def _start_and_serve(
    system: EnhancedTradingSystem, settings: Settings, url: str
) -> tuple[ExitCode, dict[str, Any]]:
    try:
        await system.start_system()
    except LifecycleError as e:
        # Asked to stop while it started: everything begun was undone, no order was sent.
        note(str(e))
        return ExitCode.OK, system.get_system_status()
    loop = asyncio.get_running_loop()
    try:
        note(f"trading-system runs ({settings.environment}); control API {url}; Ctrl-C stops")
        if settings.duration_s is not None:
            loop.call_later(settings.duration_s, system.request_stop, "duration is over")
        venue = system.desk.venue
        ready = venue.ready if venue is not None else None
        shown = _login_shown(settings.dashboard.public_host)
        async with dashboard_beside(settings, ready, on_login=shown):
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
    if settings.strategy.flatten_on_stop and status["position"]["own"]:
        fail(f"positions could not be closed: {status['position']['own']}")
        return ExitCode.FAILED, status
    return _verdict(status), status


def _login_shown(public_host: str) -> Callable[[str], None]:
    def show(link: str) -> None:
        login = public_login(link, public_host)
        note(f"dashboard {login} (works once; `trading-system dashboard` prints another)")

    return show


def _verdict(status: dict[str, Any]) -> ExitCode:
    """Success means: positions agree, nothing is open or unknown, the state is STOPPED."""
    position = status["position"]
    agrees = position["venue"] is not None and position["local"] == position["venue"]
    is_settled = status["own_open_orders"] == 0 and status["orders"]["unknown"] == 0
    is_clean = status["state"] == "STOPPED" and agrees and is_settled
    return ExitCode.OK if is_clean else ExitCode.FAILED
