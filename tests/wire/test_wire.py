"""Whether ``make wire`` drives every fault, and the tests that it names elsewhere are there."""

from __future__ import annotations

from pathlib import Path

import pytest
from wire_cases import CASES
from wire_elsewhere import ELSEWHERE

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def test_every_connection_fault_of_the_matrix_is_driven_or_named() -> None:
    driven = {case.number.rstrip("bcd") for cases in CASES.values() for case in cases}
    assert driven | ELSEWHERE.keys() == {str(number) for number in range(1, 33)}


@pytest.mark.parametrize("number", ELSEWHERE)
def test_the_test_that_is_named_is_there(number: str) -> None:
    file, _, name = ELSEWHERE[number][1].partition("::")
    assert f"def {name}(" in (ROOT / file).read_text()
