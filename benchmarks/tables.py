"""Rows and gates as tables for terminals and for documents."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from benchmarks.gates import Gate
from benchmarks.rows import Row

ROW_HEADS = (
    "row",
    "value",
    "p50",
    "p95",
    "p99",
    "samples",
    "peer",
    "ratio",
    "bar",
    "met",
    "note",
)
GATE_HEADS = ("gate", "operation", "guide's own", "bar", "ours", "samples", "met")
BEGIN, END = "<!-- figures -->", "<!-- /figures -->"


def row_cells(row: Row) -> tuple[str, ...]:
    """Return the cells of one row."""
    percentiles = ("" if p is None else f"{p:g}" for p in (row.p50, row.p95, row.p99))
    peer = f"{row.peer} {row.peer_version}: {row.peer_value:g}" if row.peer else ""
    ratio = "" if row.ratio is None else f"{row.ratio:g}"
    figures = (f"{row.value:g} {row.unit}", *percentiles, str(row.samples))
    return (row.id, *figures, peer, ratio, row.bar, _met(is_met=row.met), row.note)


def gate_cells(gate: Gate) -> tuple[str, ...]:
    """Return the cells of one gate."""
    named = (gate.id, gate.operation, gate.guide, gate.gate, gate.measured)
    return (*named, str(gate.samples), _met(is_met=gate.met))


def terminal(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> Table:
    """Return a table for a terminal."""
    table = Table()
    for head in heads:
        table.add_column(head)
    for line in lines:
        table.add_row(*line)
    return table


def markdown(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a table for a document."""
    text = [heads, ["---"] * len(heads), *lines]
    return "\n".join(f"| {' | '.join(_escaped(cell) for cell in line)} |" for line in text)


def document(machine: str, rows: Sequence[Row], gates: Sequence[Gate]) -> str:
    """Return the machine line and all tables that have lines, for a document."""
    parts = [f"{machine}."]
    if rows:
        parts.append(markdown(ROW_HEADS, [row_cells(row) for row in rows]))
    if gates:
        parts.append(markdown(GATE_HEADS, [gate_cells(gate) for gate in gates]))
    return "\n\n".join(parts)


def write(path: Path, text: str) -> None:
    """Put ``text`` between the marks of an existing document, else into a file of its own."""
    held = path.read_text() if path.exists() else ""
    before, begin, rest = held.partition(BEGIN)
    _, end, after = rest.partition(END)
    whole = f"{before}{begin}\n{text}\n{end}{after}" if begin and end else f"{text}\n"
    path.write_text(whole)


def _met(*, is_met: bool) -> str:
    return "yes" if is_met else "NO"


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")
