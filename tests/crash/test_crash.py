"""Three rounds of ``make crash``: kill -9 at a random moment loses and doubles nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "run.py"


@pytest.mark.timeout(240)
@pytest.mark.xdist_group("processes")
def test_kill_nine_at_a_random_moment_loses_and_doubles_nothing() -> None:
    run = subprocess.run(
        [sys.executable, str(SCRIPT), "--runs", "3", "--seed", "3"],
        capture_output=True,
        text=True,
        timeout=220,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-4000:]
    summary = json.loads(run.stdout)
    assert (summary["rounds"], summary["lost"], summary["duplicated"]) == (3, 0, 0)
    assert summary["orders"] >= 1
