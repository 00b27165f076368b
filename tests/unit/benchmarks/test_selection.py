import argparse
import re
from pathlib import Path

import pytest

import benchmarks.__main__ as command

DOCUMENT = Path(__file__).parents[3] / "docs" / "benchmarks.md"


def test_rows_are_run_in_the_order_of_the_table():
    assert command.chosen("gates, gc,book.50") == ["book.50", "gc", "gates"]


def test_an_unknown_row_is_named_with_the_known_ones():
    with pytest.raises(argparse.ArgumentTypeError, match=r"no row nope; there are book\.50"):
        command.chosen("nope")


def test_every_row_is_explained_in_the_document():
    first = re.findall(r"^\| (`.*?) \|", DOCUMENT.read_text(), re.MULTILINE)
    named = re.findall(r"`([^`]+)`", " ".join(first))
    missing = [
        row
        for row in command.ROWS
        if not any(row == n or (n.endswith("*") and row.startswith(n[:-1])) for n in named)
    ]
    assert not missing


def test_the_document_has_the_marks_for_the_figures():
    text = DOCUMENT.read_text()
    assert 0 < text.index("<!-- figures -->") < text.index("<!-- /figures -->")
