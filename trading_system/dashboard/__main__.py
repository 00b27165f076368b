"""``python -m trading_system.dashboard``: the dashboard's process.

Its first line on standard output is ``{"url": ..., "login": ..., "pid": ...}``; it ends on
SIGTERM, SIGINT, or when the process that started it is gone.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from typing import Final

from nicegui import app as nicegui_app

from trading_system.config.settings import Settings, load_settings
from trading_system.dashboard.app import dashboard
from trading_system.dashboard.cost_server import COSTS
from trading_system.dashboard.link import ApiLink
from trading_system.dashboard.routes import PAGES
from trading_system.dashboard.store import Store
from trading_system.domain.errors import ConfigurationError
from trading_system.monitoring import logs
from trading_system.monitoring.redaction import REDACTOR
from trading_system.runtime.child import watch_lifeline
from trading_system.runtime.clock import SystemClock

_MISUSE: Final = 2


def main() -> int:
    """Run until told to stop; return the exit code."""
    try:
        settings = load_settings({}, only_reads=True)
        REDACTOR.learn(settings)
        logs.configure(settings.log.level, form=settings.log.format)
        asyncio.run(_run(settings))
    except ConfigurationError as e:
        sys.stderr.write(f"error: {' '.join(str(e).split())}\n")
        return _MISUSE
    return 0


async def _run(settings: Settings) -> None:
    clock = SystemClock()
    # Nothing is stored, but if something were, it would lie beside the rest.
    nicegui_app.storage.path = settings.data_dir / "dashboard"
    link = ApiLink(settings.data_dir, store=Store(clock=clock), rng=random.Random())
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    async with (
        dashboard(
            settings.dashboard, data_dir=settings.data_dir, link=link, pages=PAGES, clock=clock
        ) as serving,
        asyncio.TaskGroup() as group,
    ):
        ready = {"url": serving.url, "login": serving.login, "pid": os.getpid()}
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        watching = group.create_task(_until_orphaned(ended), name="lifeline")
        costing = group.create_task(COSTS.run(), name="cost-servers")
        await ended.wait()
        watching.cancel()
        costing.cancel()


async def _until_orphaned(ended: asyncio.Event) -> None:
    await watch_lifeline()
    ended.set()


if __name__ == "__main__":
    sys.exit(main())
