from benchmarks import tables
from benchmarks.gates import Gate
from benchmarks.rows import Row

ROW = Row(id="x.y", value=1.5, unit="us p50", samples=10, bar="p50 <= 2 us", met=True, note="a|b")
GATE = Gate(
    id="B1", operation="get", guide="6 s", gate="1 ms", measured="2 ms", samples=3, met=False
)


def test_every_cell_has_its_head():
    assert len(tables.row_cells(ROW)) == len(tables.ROW_HEADS)
    assert len(tables.gate_cells(GATE)) == len(tables.GATE_HEADS)


def test_a_row_without_a_peer_leaves_its_cells_empty():
    cells = dict(zip(tables.ROW_HEADS, tables.row_cells(ROW), strict=True))
    assert (cells["value"], cells["peer"], cells["ratio"], cells["met"]) == (
        "1.5 us p50",
        "",
        "",
        "yes",
    )


def test_a_missed_bar_stands_out():
    assert tables.gate_cells(GATE)[-1] == "NO"


def test_a_bar_inside_a_cell_does_not_break_the_table():
    text = tables.document("Linux", [ROW], [])
    assert "a\\|b" in text
    assert text.startswith("Linux.\n\n| row |")


def test_figures_replace_what_is_between_the_marks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"# Before\n{tables.BEGIN}\nold\n{tables.END}\nafter\n")
    tables.write(page, "new")
    assert page.read_text() == f"# Before\n{tables.BEGIN}\nnew\n{tables.END}\nafter\n"


def test_without_marks_the_figures_are_the_file(tmp_path):
    page = tmp_path / "page.md"
    tables.write(page, "new")
    assert page.read_text() == "new\n"
