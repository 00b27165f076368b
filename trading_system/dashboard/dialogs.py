"""Dialogs that ask before something is done; each is gone once it is closed."""

from __future__ import annotations

from nicegui import ui

from trading_system.dashboard.theme import Text


class Question(ui.element):
    """A dialog with a title, an explanation and what is put into it as a context manager.

    Parameters
    ----------
    title, text : str
        What is asked, and what it means.
    """

    def __init__(self, title: str, text: str) -> None:
        dialog = ui.dialog()
        dialog.props["aria-label"] = title
        _ = dialog.on("hide", dialog.delete)
        with dialog:
            super().__init__("div")
        self.classes("dialog")
        self._dialog = dialog
        with self:
            Text(title, tag="h2")
            Text(text, tag="p").classes("note")

    def open(self) -> None:
        """Show it; Escape and a press beside it close it."""
        _ = self._dialog.open()

    def close(self) -> None:
        """Close it."""
        _ = self._dialog.close()

    def cancel_button(self) -> None:
        """Add the button that closes it and does nothing."""
        ui.button("Cancel", on_click=self.close, color=None).props("flat no-caps").classes(
            "tool-text"
        )
