"""Three faults of ``make wire``, and whether the tests that it names elsewhere are there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from wire_cases import CASES
from wire_elsewhere import ELSEWHERE

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@pytest.mark.timeout(90)
@pytest.mark.no_cover
@pytest.mark.xdist_group("processes")
def test_a_cut_a_reset_and_a_gap_lose_nothing_and_nobody_trades_on_them(tmp_path: Path) -> None:
    run = subprocess.run(
        [
            *(sys.executable, str(HERE / "run.py"), "--world", "streams"),
            *("--case", "16,16b,17", "--json", "--log", str(tmp_path)),
        ],
        capture_output=True,
        text=True,
        timeout=80,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-4000:]
    rows = json.loads(run.stdout)["rows"]
    assert [row["number"] for row in rows] == ["16", "16b", "17"]
    assert [row["lost"] + row["duplicated"] + row["suspect_decisions"] for row in rows] == [0] * 3


def test_every_connection_fault_of_the_matrix_is_driven_or_named() -> None:
    driven = {case.number.rstrip("bcd") for cases in CASES.values() for case in cases}
    assert driven | ELSEWHERE.keys() == {str(number) for number in range(1, 33)}


@pytest.mark.parametrize("number", ELSEWHERE)
def test_the_test_that_is_named_is_there(number: str) -> None:
    file, _, name = ELSEWHERE[number][1].partition("::")
    assert f"def {name}(" in (ROOT / file).read_text()
