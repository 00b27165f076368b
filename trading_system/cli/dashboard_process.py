"""The dashboard as a process beside the trading one: started, watched, started again.

It can do nothing to trading: when it dies it is noted and started again, and when it dies too often
it is given up and trading goes on without a page.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import structlog

from trading_system.config.settings import Settings
from trading_system.runtime.backoff import Backoff
from trading_system.runtime.child import ChildError, ChildSpec, launch

_LOG = structlog.get_logger(__name__)
_READY_S: Final = 20.0
_STOP_S: Final = 5.0
_STABLE_S: Final = 60.0
_ATTEMPTS: Final = 6
_BACKOFF: Final = Backoff(first_s=0.5, max_s=10.0, attempts=_ATTEMPTS)
_COMMAND: Final = (sys.executable, "-m", "trading_system.dashboard")
_NO_SECRETS: Final = {
    "TRADING_BYBIT__API_KEY": "",
    "TRADING_BYBIT__API_SECRET": "",
    "TRADING_ALERTS__URLS": "",
    "TRADING_ALERTS__HEARTBEAT_URL": "",
}

Shown = Callable[[str], None]
"""Told the one-time login link of each process that got ready."""


def dashboard_environ(settings: Settings, venue: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the variables of the dashboard's process.

    It gets no API key and no address of alerts. Where an embedded venue runs (``venue`` is its
    ready line), the cost simulator of the page reads that venue's books instead of starting one of
    its own.
    """
    environ = {
        **_NO_SECRETS,
        "TRADING_DATA_DIR": str(settings.data_dir.absolute()),
        "TRADING_ENVIRONMENT": settings.environment,
        "TRADING_SYMBOLS": ",".join(settings.symbols),
        "TRADING_DASHBOARD__HOST": settings.dashboard.host,
        "TRADING_DASHBOARD__PORT": str(settings.dashboard.port),
    }
    if venue is not None:
        rest, ws = str(venue["rest"]), str(venue["ws"])
        environ |= {
            "TRADING_BYBIT__REST_URL": rest,
            "TRADING_BYBIT__WS_URL": ws,
            "TRADING_OKX__REST_URL": rest,
            "TRADING_OKX__WS_URL": ws,
        }
    return environ


async def keep_dashboard(
    environ: Mapping[str, str],
    *,
    on_login: Shown,
    command: tuple[str, ...] = _COMMAND,
    backoff: Backoff = _BACKOFF,
    stable_s: float = _STABLE_S,
) -> None:
    """Run the dashboard until cancelled; return when it had to be given up.

    Parameters
    ----------
    environ : Mapping
        Variables added to this process's own.
    on_login : Callable[[str], None]
        Told the login link whenever a process got ready.
    stable_s : float
        A process that lived this long, seconds, lets the back-off begin anew.
    """
    spec = ChildSpec(
        name="dashboard",
        command=command,
        environ=environ,
        ready_deadline_s=_READY_S,
        stop_deadline_s=_STOP_S,
        on_line=_on_line,
    )
    loop = asyncio.get_running_loop()
    delays = backoff.delays(random.Random(0))
    while (delay_s := next(delays, None)) is not None:
        try:
            async with launch(spec) as child:
                on_login(str(child.ready["login"]))
                began_s = loop.time()
                exit_code = await child.wait()
            _LOG.warning("the dashboard ended and is started again", exit_code=exit_code)
            if loop.time() - began_s >= stable_s:
                delays = backoff.delays(random.Random(0))
        except ChildError as e:
            _LOG.warning("the dashboard did not start", error=str(e))
        await asyncio.sleep(delay_s)
    _LOG.error("the dashboard was given up; `trading-system dashboard` starts it again")


@asynccontextmanager
async def dashboard_beside(
    settings: Settings, venue: Mapping[str, Any] | None, *, on_login: Shown
) -> AsyncIterator[None]:
    """Keep the dashboard running for the length of the context, if the settings want it."""
    if not settings.dashboard.enabled:
        yield
        return
    failure: Exception | None = None
    async with asyncio.TaskGroup() as group:
        keeper = group.create_task(
            keep_dashboard(dashboard_environ(settings, venue), on_login=on_login),
            name="dashboard",
        )
        try:
            yield
        except Exception as e:  # carried out of the group, which would wrap it
            failure = e
        finally:
            keeper.cancel()
    if failure is not None:
        raise failure


def _on_line(stream: str, line: str) -> None:
    _LOG.debug("dashboard", stream=stream, line=line)
