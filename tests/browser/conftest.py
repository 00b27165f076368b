"""The browser and the running systems that the tests of this folder share."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser_rig import ARGUMENTS, CHROMIUM, System
from playwright.sync_api import Browser, sync_playwright


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.skip("Debian's chromium is not installed")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


def _running(
    factory: pytest.TempPathFactory, strategy: str, *, has_dashboard: bool = True
) -> Iterator[System]:
    folder = factory.mktemp(strategy)
    system = System(folder, strategy=strategy, has_dashboard=has_dashboard)
    try:
        system.start()
        yield system
    finally:
        system.end()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def signals(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system that trades by signals."""
    yield from _running(tmp_path_factory, "signals")


@pytest.fixture(scope="session")
def maker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system that makes a market."""
    yield from _running(tmp_path_factory, "market-maker")


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[System]:
    """A system without a dashboard of its own; it may be killed."""
    system = System(tmp_path, strategy="signals", has_dashboard=False)
    try:
        system.start()
        yield system
    finally:
        system.end()


@pytest.fixture
def disposable(tmp_path: Path) -> Iterator[System]:
    """A system with its own dashboard, on a port that stays; it may be killed."""
    system = System(tmp_path, strategy="signals")
    with socket.create_server(("127.0.0.1", 0)) as free:
        system.dashboard_port = free.getsockname()[1]
    try:
        system.start()
        yield system
    finally:
        system.end()
