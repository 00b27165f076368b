"""A table whose cells are texts, sent to the browser only when one of them has changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from nicegui import events, ui

from trading_system.dashboard.theme import Kind


@dataclass(frozen=True, slots=True)
class Column:
    """One column: heading, unit and where its cells are aligned (figures to the end).

    ``is_wide`` lets it take the room that the others leave; ``is_minor`` leaves it out on a phone.
    """

    label: str
    unit: str = ""
    align: Literal["start", "end"] = "start"
    is_wide: bool = False
    is_minor: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell.

    Parameters
    ----------
    text : str
        What it shows.
    kind : Kind
        How it is coloured.
    title : str
        Explanation shown on hover.
    is_action : bool
        Whether it is a button; see ``on_pick`` of :class:`Grid`.
    bar_pct : float or None
        Length of a bar behind the text, 0 to 100; None without one.
    """

    text: str
    kind: Kind = ""
    title: str = ""
    is_action: bool = False
    bar_pct: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One row; ``key`` names it among the rows, ``kind`` marks the whole of it."""

    key: str
    cells: Sequence[Cell | str]
    kind: Kind = ""


class Grid(ui.element, component="grid.js"):
    """A table of texts.

    Parameters
    ----------
    caption : str
        Name for screen readers.
    columns : Sequence[Column]
        Headings.
    empty : str
        Sentence shown without rows.
    width : str
        CSS length below which it scrolls sideways instead of shrinking.
    is_tall : bool
        Whether it scrolls inside a bounded height.
    stacks : bool
        Whether a phone shows each row as a list of its cells instead of scrolling sideways.
    flows : bool
        Whether a phone puts the last cell of each row below the others.
    on_pick : callable or None
        Called with a row's key when one of its action cells is pressed.
    """

    def __init__(
        self,
        caption: str,
        columns: Sequence[Column],
        *,
        empty: str,
        width: str = "30rem",
        is_tall: bool = False,
        stacks: bool = False,
        flows: bool = False,
        on_pick: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__()
        self.props["caption"] = caption
        self.name_columns(columns)
        self.props["rows"] = []
        self.props["empty"] = empty
        self.props["width"] = width
        self.props["tall"] = is_tall
        self.props["stacks"] = stacks
        self.props["flows"] = flows
        if on_pick is not None:
            pick = on_pick

            def picked(event: events.GenericEventArguments) -> None:
                key = event.args.get("key") if isinstance(event.args, dict) else None
                if isinstance(key, str):
                    pick(key)

            self.on("pick", picked)

    def name_columns(self, columns: Sequence[Column]) -> None:
        """Give the columns other headings, for instance units that are known only now."""
        shown = [_column(one) for one in columns]
        if shown != self.props.get("columns"):
            self.props["columns"] = shown
            self.update()

    def show(self, rows: Sequence[Row], *, empty: str | None = None) -> None:
        """Show ``rows``, and ``empty`` if there are none."""
        shown = [_row(row) for row in rows]
        if shown == self.props["rows"] and empty in {None, self.props["empty"]}:
            return
        self.props["rows"] = shown
        if empty is not None:
            self.props["empty"] = empty
        self.update()


def _column(one: Column) -> dict[str, Any]:
    shown: dict[str, Any] = {"label": one.label, "unit": one.unit, "align": one.align}
    return shown | {"wide": one.is_wide, "minor": one.is_minor}


def _row(row: Row) -> dict[str, Any]:
    return {"key": row.key, "kind": row.kind, "cells": [_cell(cell) for cell in row.cells]}


def _cell(cell: Cell | str) -> dict[str, Any]:
    if isinstance(cell, str):
        return {"text": cell}
    shown: dict[str, Any] = {"text": cell.text}
    if cell.kind:
        shown["kind"] = cell.kind
    if cell.title:
        shown["title"] = cell.title
    if cell.is_action:
        shown["action"] = True
    if cell.bar_pct is not None:
        shown["bar"] = round(max(0.0, min(100.0, cell.bar_pct)), 1)
    return shown
