"""dashboard.*: what a person at the dashboard sees of its speed, in a real browser.

A whole system runs (``trading-system start``: venue, trading, control API and the dashboard in its
own process) beside a headless Chromium without a graphics card. All rows of one run come from the
same visit: five cold openings of the page *Overview*, then the page *Market* is left alone and
watched. Without Chromium the rows are absent.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from benchmarks.rows import Row

_CHROMIUM = Path("/usr/bin/chromium")
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_OPENINGS = 5
_WATCH_S = 20
_TRACE_S = 20
_READY_S = 60.0
_VIEW = {"width": 1440, "height": 900}
_FIRST_VIEW_BAR_MS = 2_000.0
_FRAME_BAR_MS = 33.0
_TASK_BAR_MS = 50.0
_UPDATES_BAR = 20.0
_US_PER_MS = 1_000.0
_BATCH_S = 0.010

# Milliseconds from the start of the navigation until the page is live and shows the equity.
_FIRST_VIEW = """() => {
  const isThere = () => {
    const facts = [...document.querySelectorAll('.fact-value')].some((f) => f.innerText === 'live');
    const figure = document.querySelector('.fig-value');
    return facts && figure && /[0-9]/.test(figure.innerText);
  };
  const look = () => {
    if (isThere()) window.firstView = performance.now();
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}"""
_FRAMES = """(seconds) => new Promise((done) => {
  const deltas = [], tasks = [];
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) tasks.push(entry.duration);
  });
  observer.observe({ entryTypes: ['longtask'] });
  const began = performance.now();
  let last = began;
  const frame = (now) => {
    deltas.push(now - last);
    last = now;
    if (now - began < seconds * 1000) return requestAnimationFrame(frame);
    observer.disconnect();
    done({ deltas: deltas.slice(1), tasks });
  };
  requestAnimationFrame(frame);
})"""


@dataclass(frozen=True, slots=True)
class Visit:
    """What one visit measured; times in milliseconds.

    Parameters
    ----------
    first_views : list of float
        Start of the navigation to the first live figure.
    frames : list of float
        From one frame to the next.
    long_tasks : list of float
        Tasks of more than 50 ms while the frames were counted, as the browser reports them.
    worst_tasks : list of float
        The longest task of each second of a trace.
    tasks : list of float
        All tasks of the trace.
    batches_per_s, frames_per_s : float
        Updates of the server that reached the page, and socket messages they were made of.
    rss_mib : float
        Memory of the dashboard's process, MiB.
    """

    first_views: list[float]
    frames: list[float]
    long_tasks: list[float]
    worst_tasks: list[float]
    tasks: list[float]
    batches_per_s: float
    frames_per_s: float
    rss_mib: float


def run_first_view() -> list[Row]:
    """Return the row of opening the page *Overview* with an empty cache."""
    return with_browser(first_view_row)


def run_frame() -> list[Row]:
    """Return the row of frames on the page *Market*."""
    return with_browser(frame_row)


def run_long_task() -> list[Row]:
    """Return the row of the page's tasks: the longest of each second, at p95."""
    return with_browser(long_task_row)


def run_updates() -> list[Row]:
    """Return the row of the server's updates that reach the page *Market*."""
    return with_browser(updates_row)


def run_rss() -> list[Row]:
    """Return the row of the dashboard process's memory."""
    return with_browser(rss_row)


def with_browser(row: Callable[[Visit], Row], *, chromium: Path = _CHROMIUM) -> list[Row]:
    """Return ``row`` of the visit; nothing without ``chromium``."""
    return [row(visited())] if chromium.exists() else []


def first_view_row(visit: Visit) -> Row:
    """Return the row of first views; the median counts."""
    p50, p95, p99 = _percentiles(visit.first_views)
    return Row(
        id="dashboard.first_view",
        value=p50,
        unit="ms p50",
        p50=p50,
        p95=p95,
        p99=p99,
        samples=len(visit.first_views),
        bar=f"<= {_FIRST_VIEW_BAR_MS:g} ms",
        met=p50 <= _FIRST_VIEW_BAR_MS,
        note="navigation to first live figure, cache empty; all processes on this machine",
    )


def frame_row(visit: Visit) -> Row:
    """Return the row of the time from frame to frame."""
    p50, p95, p99 = _percentiles(visit.frames)
    return Row(
        id="dashboard.frame",
        value=p95,
        unit="ms p95",
        p50=p50,
        p95=p95,
        p99=p99,
        samples=len(visit.frames),
        bar=f"p95 <= {_FRAME_BAR_MS:g} ms",
        met=p95 <= _FRAME_BAR_MS,
        note=f"page Market for {_WATCH_S} s, drawn without a graphics card; "
        f"longest {max(visit.frames):.0f} ms",
    )


def long_task_row(visit: Visit) -> Row:
    """Return the row of the longest task of each second."""
    p50, p95, p99 = _percentiles(visit.worst_tasks)
    all_p95 = float(np.percentile(visit.tasks, 95))
    return Row(
        id="dashboard.long_task",
        value=p95,
        unit="ms p95",
        p50=p50,
        p95=p95,
        p99=p99,
        samples=len(visit.worst_tasks),
        bar=f"p95 < {_TASK_BAR_MS:g} ms",
        met=p95 < _TASK_BAR_MS,
        note=f"longest task of each second of a trace; p95 of all {len(visit.tasks)} tasks "
        f"{all_p95:.2f} ms; {len(visit.long_tasks)} above 50 ms in {_WATCH_S} s without trace",
    )


def updates_row(visit: Visit) -> Row:
    """Return the row of updates per second."""
    return Row(
        id="dashboard.updates",
        value=visit.batches_per_s,
        unit="updates/s",
        samples=_WATCH_S,
        bar=f"<= {_UPDATES_BAR:g} per s",
        met=visit.batches_per_s <= _UPDATES_BAR,
        note=f"socket messages within {_BATCH_S * 1e3:g} ms are one update; "
        f"{visit.frames_per_s:g} messages per s",
    )


def rss_row(visit: Visit) -> Row:
    """Return the row of the memory after the visit."""
    return Row(
        id="dashboard.rss",
        value=visit.rss_mib,
        unit="MiB",
        samples=1,
        bar="none",
        met=True,
        note="the dashboard's process after eight pages were opened",
    )


def batches(times: Sequence[float]) -> int:
    """Return how many updates messages at ``times``, seconds, were: close ones are one."""
    count, last = 0, -1.0
    for at in times:
        if at - last > _BATCH_S or last < 0.0:
            count, last = count + 1, at
    return count


def worst_of_seconds(tasks: Sequence[tuple[float, float]]) -> list[float]:
    """Return the longest duration of each second of ``tasks``: pairs of start s, duration ms."""
    worst: dict[int, float] = {}
    for start_s, took_ms in tasks:
        worst[int(start_s)] = max(worst.get(int(start_s), 0.0), took_ms)
    return [worst[second] for second in sorted(worst)]


@cache
def visited() -> Visit:
    """Return the figures of one visit; measured once in a process."""
    with TemporaryDirectory() as folder, _system(Path(folder)) as base, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=_CHROMIUM, args=_ARGUMENTS)
        try:
            return _visit(browser, Path(folder), base)
        finally:
            browser.close()


def _visit(browser: Browser, folder: Path, base: str) -> Visit:
    state = _logged_in(browser, folder)
    first_views = []
    for _ in range(_OPENINGS + 1):
        context = browser.new_context(viewport=_VIEW, storage_state=state)  # type: ignore[arg-type] # plain sizes
        first_views.append(_opened(context, base))
        context.close()
    context = browser.new_context(viewport=_VIEW, storage_state=state)  # type: ignore[arg-type] # plain sizes
    page = context.new_page()
    arrivals: list[float] = []
    page.on(
        "websocket",
        lambda socket: socket.on(
            "framereceived", lambda data: _is_update(data) and arrivals.append(time.monotonic())
        ),
    )
    page.goto(f"{base}/market")
    page.locator(".ladder td", has_text=".").first.wait_for()
    page.wait_for_timeout(3_000)
    arrivals.clear()
    seen = page.evaluate(_FRAMES, _WATCH_S)
    sent = list(arrivals)
    tasks = _traced(context, page)
    rss_mib = _rss_mib(json.loads((folder / "dashboard.json").read_text())["pid"])
    context.close()
    return Visit(
        first_views=first_views[1:],
        frames=seen["deltas"],
        long_tasks=seen["tasks"],
        worst_tasks=worst_of_seconds(tasks),
        tasks=[took for _, took in tasks],
        batches_per_s=round(batches(sent) / _WATCH_S, 1),
        frames_per_s=round(len(sent) / _WATCH_S, 1),
        rss_mib=rss_mib,
    )


def _is_update(data: object) -> bool:
    # Engine.IO's own pings are one character.
    return isinstance(data, str | bytes) and len(data) > 1


def _logged_in(browser: Browser, folder: Path) -> Any:
    context = browser.new_context()
    page = context.new_page()
    page.goto(_login(folder))
    page.get_by_role("button").click()
    page.locator(".content").wait_for()
    state = context.storage_state()
    context.close()
    return state


def _opened(context: BrowserContext, base: str) -> float:
    page = context.new_page()
    page.add_init_script(f"({_FIRST_VIEW})()")
    page.goto(base)
    page.wait_for_function("window.firstView !== undefined", timeout=_READY_S * 1_000)
    found: float = page.evaluate("window.firstView")
    return found


def _traced(context: BrowserContext, page: Page) -> list[tuple[float, float]]:
    # Tasks of the page's main thread: start in seconds from the first, duration in milliseconds.
    session = context.new_cdp_session(page)
    events: list[dict[str, Any]] = []
    done: list[bool] = []
    session.on("Tracing.dataCollected", lambda found: events.extend(found["value"]))
    session.on("Tracing.tracingComplete", lambda _: done.append(True))
    options = {"includedCategories": ["devtools.timeline", "disabled-by-default-devtools.timeline"]}
    session.send("Tracing.start", {"traceConfig": options, "transferMode": "ReportEvents"})
    page.wait_for_timeout(_TRACE_S * 1_000)
    session.send("Tracing.end")
    while not done:
        page.wait_for_timeout(50)
    return main_tasks(events)


def main_tasks(events: Sequence[dict[str, Any]]) -> list[tuple[float, float]]:
    """Return start s and duration ms of the main thread's tasks: the thread that fires frames."""
    main = {
        (event["pid"], event["tid"])
        for event in events
        if event.get("name") == "FireAnimationFrame"
    }
    tasks = [
        (event["ts"], event["dur"])
        for event in events
        if event.get("name") == "RunTask"
        and (event["pid"], event["tid"]) in main
        and "dur" in event
    ]
    began = min((start for start, _ in tasks), default=0)
    return [((start - began) / 1e6, took / _US_PER_MS) for start, took in tasks]


def _percentiles(samples: Sequence[float]) -> tuple[float, float, float]:
    p50, p95, p99 = (round(float(p), 1) for p in np.percentile(samples, (50, 95, 99)))
    return p50, p95, p99


def _rss_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return round(int(line.split()[1]) / 1024, 1)
    return 0.0


def _login(folder: Path) -> str:
    address = json.loads((folder / "dashboard.json").read_text())
    question = urllib.request.Request(
        f"{address['url']}/login-links",
        method="POST",
        headers={"Authorization": f"Bearer {address['link_token']}"},
    )
    with urllib.request.urlopen(question, timeout=10) as answer:
        return str(json.loads(answer.read())["login"])


@contextmanager
def _system(folder: Path) -> Iterator[str]:
    """Run a whole system with its data in ``folder``; gives the dashboard's address."""
    variables = {
        "TRADING_DATA_DIR": str(folder),
        "TRADING_API__PORT": "0",
        "TRADING_DASHBOARD__PORT": "0",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "trading_system", "start", "--strategy", "signals"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **variables},
    )
    try:
        file = folder / "dashboard.json"
        ends = time.monotonic() + _READY_S
        while not file.exists():
            assert process.poll() is None, "the system ended"
            assert time.monotonic() < ends, "the dashboard did not get ready"
            time.sleep(0.05)
        time.sleep(5.0)  # books and figures of the first seconds
        yield str(json.loads(file.read_text())["url"])
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
