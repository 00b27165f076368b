"""What the README promises runs."""

import asyncio
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from trading_system import EnhancedTradingSystem

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.timeout(90)
def test_the_python_snippet_runs_as_printed(tmp_path: Path) -> None:
    (snippet,) = blocks("python")
    result = subprocess.run(
        [sys.executable, "-c", snippet],
        capture_output=True,
        text=True,
        timeout=80,
        check=False,
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stderr
    assert re.search(r"System Health: \d+(\.\d+)?/100", result.stdout)


def test_every_command_of_the_tour_exists() -> None:
    commands = set(re.findall(r"\.venv/bin/trading-system ([a-z]+)", README))
    shown = subprocess.run(
        [sys.executable, "-m", "trading_system", "--help"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    ).stdout
    assert commands
    assert all(re.search(rf"^  {command} ", shown, flags=re.MULTILINE) for command in commands)


def test_every_link_leads_somewhere() -> None:
    for document in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            found = document.parent / target
            assert found.is_dir() or found.stat().st_size > 0, f"{document.name}: {target}"


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = set(re.findall(r"`?make ([a-z]+)", README))
    assert named <= targets


def test_the_face_has_the_documented_methods() -> None:
    start = EnhancedTradingSystem.start_system
    assert asyncio.iscoroutinefunction(start)
    assert list(inspect.signature(start).parameters) == ["self"]
    stop = inspect.signature(EnhancedTradingSystem.stop_system)
    assert list(stop.parameters) == ["self", "reason"]
    status = inspect.signature(EnhancedTradingSystem.get_system_status)
    assert list(status.parameters) == ["self"]
