"""Bars beside figures, and the columns that pages with charts are laid out in.

The figure itself always stands beside a bar as text, so bars are hidden from screen readers.
"""

from __future__ import annotations

from typing import Final

from nicegui import ui

from trading_system.dashboard.theme import NOTHING, Text

STYLE: Final = """
.cols-market, .cols-cost { grid-template-columns: minmax(0, 1fr); align-items: start; }
.cols > * { min-width: 0; }
.bar-row { display: flex; flex-wrap: wrap; gap: 8px 12px; align-items: center; }
.form { display: grid; gap: 12px; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); }
.form .wide { grid-column: 1 / -1; }
.signed, .share { position: relative; height: 8px; background: var(--line); border-radius: 2px;
  overflow: hidden; width: 100%; }
.signed::after { content: ""; position: absolute; left: 50%; top: 0; bottom: 0; width: 1px;
  background: var(--ink); }
.signed > div { position: absolute; top: 0; bottom: 0; left: 50%; width: 50%;
  transform-origin: left; }
.share { background: color-mix(in srgb, var(--muted) 55%, var(--panel)); }
.share > div { position: absolute; inset: 0; transform-origin: left; background: var(--accent); }
.share-words { display: flex; justify-content: space-between; gap: 12px; }
.state-line { color: var(--warn); font-size: 13px; min-height: 18px; }
.state-line.quiet { color: var(--muted); font-size: 12px; min-height: 0; }
.state-line.quiet:empty { display: none; }
.q-btn-group .q-btn { padding: 4px 12px; min-height: 36px; border: 1px solid var(--line); }
.bg-chosen { background: var(--accent); }
.text-chosen-ink { color: var(--panel); }
.q-checkbox__inner--truthy .q-checkbox__bg { background: var(--accent);
  border-color: var(--accent); }
.doubtful-part .fig-value, .doubtful-part td { color: var(--muted); }
.doubtful-part .chart { opacity: 0.45; }
@media (min-width: 1000px) {
  .strip-5 { grid-template-columns: repeat(5, minmax(0, 1fr)); row-gap: 10px; }
  .strip-5 > .fig:nth-child(5n + 1) { border-left: 0; }
  .cols-market { grid-template-columns: minmax(0, 1fr) 22rem; }
  .cols-cost { grid-template-columns: 20rem minmax(0, 1fr); }
}
"""
"""Rules of the parts here; a page adds them with ``ui.add_css``."""


class SignedBar:
    """A bar that grows from the middle: to the right above zero, to the left below.

    Parameters
    ----------
    value : Text
        The figure it stands under, made by :func:`~trading_system.dashboard.theme.figure`.
    """

    def __init__(self, value: Text) -> None:
        self._shown: float | None = None
        whole = next(outer for outer in value.ancestors() if "fig" in outer.classes)
        with whole, ui.element("div").classes("signed").props("aria-hidden=true"):
            self._bar = ui.element("div").style("transform:scaleX(0)")

    def show(self, share: float | None) -> None:
        """Show ``share``, -1 to 1 and cut off there; None empties the bar."""
        wanted = 0.0 if share is None else round(max(-1.0, min(1.0, share)), 3)
        if wanted != self._shown:
            self._shown = wanted
            colour = "--sell" if wanted < 0 else "--buy"
            self._bar.style(replace=f"transform:scaleX({wanted});background:var({colour})")


class ShareBar:
    """How a whole is parted in two, with a text at each end.

    Parameters
    ----------
    left, right : str
        What the two parts are called.
    """

    def __init__(self, left: str, right: str) -> None:
        self._names = (left, right)
        self._shown: float | None = None
        with ui.element("div").classes("share-words"):
            self._left, self._right = Text(f"{left} {NOTHING}"), Text(f"{right} {NOTHING}")
        with ui.element("div").classes("share").props("aria-hidden=true"):
            self._bar = ui.element("div").style("transform:scaleX(0)")

    def show(self, left_pct: float | None) -> None:
        """Show the part of the left side, percent; None says that it is not known."""
        left, right = self._names
        if left_pct is None:
            self._left.show(f"{left} {NOTHING}")
            self._right.show(f"{right} {NOTHING}")
        else:
            self._left.show(f"{left} {left_pct:.1f} %")
            self._right.show(f"{right} {100.0 - left_pct:.1f} %")
        wanted = 0.0 if left_pct is None else round(max(0.0, min(100.0, left_pct)) / 100.0, 3)
        if wanted != self._shown:
            self._shown = wanted
            self._bar.style(replace=f"transform:scaleX({wanted})")
