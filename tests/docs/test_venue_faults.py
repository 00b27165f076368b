"""The fault schedule in the venue's guide is one, and its table knows every fault."""

import re
from pathlib import Path

from trading_system.simulation.faults.rules import MOMENTS
from trading_system.simulation.faults.schedule import parse_schedule

GUIDE = (Path(__file__).parents[2] / "docs" / "venue.md").read_text()
SECTION = GUIDE.partition("\n## Faults\n")[2].partition("\n## ")[0]


def test_example_is_a_schedule():
    text = SECTION.partition("```json\n")[2].partition("```")[0]
    faults = [rule.fault.value for rule in parse_schedule(text, source="docs/venue.md")]
    assert faults == ["drop-after-accept", "gap", "half-open", "clock-skew"]


def test_table_names_every_fault_of_the_venue():
    rows = SECTION.partition("| fault |")[2].splitlines()
    cells = [row.split("|")[1] for row in rows if row.startswith("| `")]
    assert {name for cell in cells for name in re.findall(r"`([\w-]+)`", cell)} == set(MOMENTS)
