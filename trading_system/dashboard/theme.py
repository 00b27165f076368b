"""Colours, typography and the small parts that all pages are made of.

Every colour is a CSS variable (``--ink``, ``--muted``, ``--line``, ``--ground``, ``--panel``,
``--good``, ``--bad``, ``--warn``, ``--accent``, ``--buy``, ``--sell``) with one value for dark and
one for light; charts, which do not read CSS, take :data:`DARK` or :data:`LIGHT`. Text colours keep
a contrast of at least 4.5 to 1 on ground and panel (WCAG 2 AA; a test computes it). Tailwind is
switched off, its class names mean nothing here: rules live in ``dashboard.css``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

from nicegui import ui

Kind = Literal["", "good", "bad", "warn", "accent", "muted", "buy", "sell"]
"""What a figure or badge says beside its text; colour is never the only sign."""

NOTHING: Final = "\N{EN DASH}"
"""Shown where a figure was not measured."""

_UNDECIDED: Final = ":root:not(:has(body.body--light))"
_STYLE_FILE: Final = Path(__file__).with_name("dashboard.css")


@dataclass(frozen=True, slots=True, kw_only=True)
class Palette:
    """The colours of one theme, as ``#rrggbb``."""

    ink: str
    muted: str
    line: str
    ground: str
    panel: str
    good: str
    bad: str
    warn: str
    accent: str
    buy: str
    sell: str


DARK: Final = Palette(
    ink="#e7eaef",
    muted="#9ba6b5",
    line="#29313c",
    ground="#0d1015",
    panel="#13181f",
    good="#4cc38a",
    bad="#ff7b72",
    warn="#e0b040",
    accent="#6cb0ff",
    buy="#35b9a6",
    sell="#f2855c",
)
LIGHT: Final = Palette(
    ink="#14181f",
    muted="#535e6d",
    line="#d8dde4",
    ground="#f5f6f8",
    panel="#ffffff",
    good="#0c7047",
    bad="#b92d27",
    warn="#825400",
    accent="#0a5cb8",
    buy="#006f64",
    sell="#ad3f19",
)


def palette(*, is_dark: bool) -> Palette:
    """Return the colours of the dark or the light theme."""
    return DARK if is_dark else LIGHT


def style_sheet() -> str:
    """Return the whole style sheet: the variables of both themes, then the rules."""
    return "\n".join(
        (
            f"body.body--dark{{color-scheme:dark;{_variables(DARK)}}}",
            f":root,body.body--light{{color-scheme:light;{_variables(LIGHT)}}}",
            f"@media (prefers-color-scheme:dark){{{_UNDECIDED}{{{_variables(DARK)}}}}}",
            _STYLE_FILE.read_text(),
        )
    )


def _variables(colours: Palette) -> str:
    return "".join(f"--{name}:{value};" for name, value in asdict(colours).items())


class Text(ui.label):
    """A text that goes to the browser only when it has changed; never read as HTML.

    Parameters
    ----------
    text : str
        What it shows at first.
    tag : str
        HTML element.
    """

    def __init__(self, text: str = NOTHING, *, tag: str = "span") -> None:
        super().__init__(text)
        self.tag = tag

    def show(self, text: str, *, kind: Kind = "", title: str = "") -> None:
        """Show ``text`` coloured by ``kind``, explained by ``title``."""
        if text != self.text:
            self.text = text
        if kind != self.props.get("data-kind", "") or title != self.props.get("title", ""):
            self.props["data-kind"] = kind
            self.props["title"] = title
            self.update()


def section(title: str, note: str = "") -> ui.element:
    """Add a section with a heading and return it, to be filled as a context manager.

    Parameters
    ----------
    note : str
        Said beside the heading in a quieter voice: a unit, a window, a source.
    """
    outer = ui.element("section").classes("sec")
    outer.props["aria-label"] = title
    with outer, ui.element("div").classes("sec-head"):
        Text(title, tag="h2")
        if note:
            Text(note).classes("note")
    return outer


def figure(label: str, unit: str = "") -> Text:
    """Add a figure with its label and unit and return the text to show values with."""
    with ui.element("div").classes("fig"):
        Text(label).classes("fig-label")
        with ui.element("span").classes("fig-value"):
            value = Text()
            if unit:
                Text(unit).classes("unit")
    return value


def badge(text: str, kind: Kind = "") -> Text:
    """Add a short framed text and return it."""
    shown = Text(text).classes("badge")
    shown.show(text, kind=kind)
    return shown


def empty(text: str) -> Text:
    """Add the sentence that stands where there is nothing to show, and return it."""
    return Text(text, tag="p").classes("empty")
