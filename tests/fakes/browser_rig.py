"""A running system, its dashboard in Debian's Chromium, and what every page must keep to."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESK, PHONE = (1440, 900), (390, 844)
_COMMAND = [sys.executable, "-m", "trading_system"]
_READY_S = 60.0
_POLL_S = 0.05


def until(is_so: Callable[[], Any], *, within_s: float = 20.0, what: str = "") -> Any:
    """Return the first true answer of ``is_so``."""
    ends = time.monotonic() + within_s
    while True:
        with contextlib.suppress(OSError):
            if answer := is_so():
                return answer
        assert time.monotonic() < ends, f"not within {within_s:g} s: {what}"
        time.sleep(_POLL_S)


class System:
    """``trading-system start`` with a data directory and free ports of its own."""

    def __init__(self, folder: Path, *, strategy: str, has_dashboard: bool = True) -> None:
        self.data_dir = folder / "data"
        self._log = folder / "log"
        self._strategy = strategy
        self._has_dashboard = has_dashboard
        self._process: subprocess.Popen[bytes] | None = None
        self.dashboard_port = 0

    @property
    def environ(self) -> dict[str, str]:
        return {
            **os.environ,
            "TRADING_DATA_DIR": str(self.data_dir),
            "TRADING_API__PORT": "0",
            "TRADING_DASHBOARD__PORT": str(self.dashboard_port),
        }

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        options = ["--strategy", self._strategy]
        if not self._has_dashboard:
            options.append("--no-dashboard")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*_COMMAND, "start", *options], stdout=log, stderr=log, env=self.environ
            )
        until(self._is_up, within_s=_READY_S, what=f"a running system: {self._log}")

    def _is_up(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()[-2000:]
        if self._has_dashboard and not (self.data_dir / "dashboard.json").exists():
            return False
        return bool(self.ask("/status")["state"] == "RUNNING")

    def ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the answer of the control API itself."""
        address = json.loads((self.data_dir / "api.json").read_text())
        question = urllib.request.Request(
            address["url"] + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {address['token']}",
                "Content-Type": "application/json",
            },
        )
        with urllib.request.urlopen(question, timeout=10) as answer:
            content: dict[str, Any] = json.loads(answer.read())
        return content

    def printed(self, *command: str) -> dict[str, Any]:
        """Return what a command prints as JSON."""
        done = subprocess.run(
            [*_COMMAND, *command, "--json"], env=self.environ, capture_output=True, check=True
        )
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def login(self) -> str:
        """Return a fresh login link, of the dashboard that ``dashboard.json`` names."""
        address = json.loads((self.data_dir / "dashboard.json").read_text())
        question = urllib.request.Request(
            address["url"] + "/login-links",
            method="POST",
            headers={"Authorization": f"Bearer {address['link_token']}"},
        )
        with urllib.request.urlopen(question, timeout=10) as answer:
            return str(json.loads(answer.read())["login"])

    def kill(self) -> None:
        """End the trading process as a crash would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.kill()


class Watched:
    """One page and everything that was wrong with it."""

    def __init__(self, page: Page, *, base: str) -> None:
        self.page = page
        self.base = base
        self.wrong: list[str] = []
        self.forgiven: Callable[[str], bool] = lambda _: False
        page.set_default_timeout(20_000)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.wrong.append(f"page error: {error}"))
        page.on("request", lambda request: self._address(request.url))
        page.on("websocket", lambda socket: self._address(socket.url))
        page.on("response", lambda r: r.status >= 400 and self._note(f"{r.status}: {r.url}"))

    def _console(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self._note(f"console {message.type}: {message.text}")

    def _address(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"data", "blob"} and parts.hostname != "127.0.0.1":
            self.wrong.append(f"left the machine: {url}")

    def _note(self, text: str) -> None:
        if not self.forgiven(text):
            self.wrong.append(text)

    def shot(self, name: str) -> None:
        """Take a picture of the whole page if ``BROWSER_SHOTS`` names a folder for them."""
        if folder := os.environ.get("BROWSER_SHOTS"):
            self.page.wait_for_timeout(1500)  # two rounds of the slowest figures
            self.page.screenshot(path=Path(folder, f"{name}.png"), full_page=True)

    def open(self, path: str) -> None:
        """Open a page and wait for its first live figure."""
        answer = self.page.goto(self.base + path)
        assert answer is not None
        assert answer.status == 200
        self.page.locator(".fact-value", has_text="live").first.wait_for()

    def fact(self, label: str) -> str:
        """Return a figure of the header."""
        fact = self.page.locator(".fact", has=self.page.get_by_text(label, exact=False)).first
        return fact.locator(".fact-value").inner_text()

    def figure(self, label: str) -> str:
        """Return the value of a figure with its unit."""
        found = self.page.locator(".fig", has=self.page.get_by_text(label, exact=True)).first
        return found.locator(".fig-value").inner_text().replace("\n", " ")


def log_in(system: System, page: Page) -> str:
    """Log ``page`` in and return the dashboard's address."""
    link = system.login()
    page.goto(link)
    page.get_by_role("button").click()
    page.locator(".content").wait_for()
    parts = urlsplit(link)
    return f"{parts.scheme}://{parts.netloc}"


@contextlib.contextmanager
def opened(
    browser: Browser,
    system: System,
    *,
    size: tuple[int, int] = DESK,
    theme: str = "dark",
    state: Any = None,
) -> Iterator[Watched]:
    """Give a logged-in page; whatever was wrong with it fails at the end."""
    context: BrowserContext = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if theme == "dark" else "light",
        storage_state=state,
    )
    try:
        page = context.new_page()
        base = log_in(system, page)
        watched = Watched(page, base=base)
        yield watched
        assert watched.wrong == []
    finally:
        context.close()


def violations(watched: Watched, within: str | None = None) -> list[str]:
    """Return axe's serious and critical findings, of the whole page or ``within`` a selector."""
    found: dict[str, Any] = Axe().run(watched.page, context=within).response
    return [
        f"{one['id']}: {node['html'][:160]} {node.get('failureSummary', '')[:300]}"
        for one in found["violations"]
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
    ]
