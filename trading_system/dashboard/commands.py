"""Unlocking control, and the commands that stop or restrain trading, each confirmed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from nicegui import ui

from trading_system.dashboard.context import NeedsControlError, PageContext
from trading_system.dashboard.dialogs import Question
from trading_system.dashboard.figures import duration
from trading_system.dashboard.link import ApiError
from trading_system.dashboard.theme import Kind, Text

KILL_WORD: Final = "KILL"
RESUME: Final = "Resume"
_MAX_REASON: Final = 160


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Parameters
    ----------
    path : str
        Its route of the API.
    label : str
        Words of its button.
    meaning : str
        What it does, said before it is confirmed.
    """

    path: str
    label: str
    meaning: str


COMMANDS: Final = (
    Command("/pause", "Pause", "No new trade begins; open trades are still watched and closed."),
    Command("/reduce-only", "Reduce only", "Positions may only shrink until trading is resumed."),
    Command(
        "/resume",
        RESUME,
        "Lifts pause, reduce-only and kill. A loss limit that tripped stays unless reset.",
    ),
)
"""Commands that a dialog confirms."""


class Unlock:
    """The field for the control token and the time it still counts."""

    def __init__(self, context: PageContext) -> None:
        self._context = context
        self._is_open: bool | None = None
        with ui.element("div").classes("unlock"):
            self._closed = ui.element("form").classes("unlock-form")
            with self._closed:
                self._field = (
                    ui.input("Control token", password=True)
                    .props("dense outlined autocomplete=off spellcheck=false maxlength=200")
                    .classes("unlock-field")
                )
                ui.button("Unlock control", on_click=self._unlock, color=None).props(
                    "unelevated no-caps"
                ).classes("primary")
            self._field.on("keydown.enter.prevent", self._unlock)
            self._opened = ui.element("div").classes("unlock-open")
            with self._opened:
                self._left = Text("")
                ui.button("Lock", on_click=self._lock, color=None).props(
                    "outline no-caps dense"
                ).classes("quiet")
            self._words = Text("").classes("answer")
            self._words.props["role"] = "status"
        self.update()

    def update(self) -> None:
        """Show whether control is open, and for how long."""
        is_open = self._context.can_control
        if is_open:
            left = duration(self._context.control_left_s)
            self._left.show(f"Control is unlocked for {left}", kind="warn")
        if is_open == self._is_open:
            return
        if self._is_open and not is_open:
            self._words.show("Control is locked again: read only.")
        self._is_open = is_open
        self._opened.set_visibility(is_open)
        self._closed.set_visibility(not is_open)

    async def _unlock(self) -> None:
        typed = str(self._field.value or "").strip()
        self._field.set_value("")
        if not typed:
            self._words.show("Type the token that `trading-system token` shows.", kind="warn")
            return
        try:
            await self._context.unlock(typed)
        except (ApiError, NeedsControlError) as e:
            self._words.show(f"Still locked: {e}", kind="bad")
            return
        self._words.show("")
        self.update()

    def _lock(self) -> None:
        self._context.lock()
        self.update()


class Commands:
    """Buttons of the commands; each shows honestly what came of it."""

    def __init__(self, context: PageContext) -> None:
        self._context = context
        self._is_allowed: bool | None = None
        self._buttons: list[ui.button] = []
        with ui.element("div").classes("commands"):
            for command in COMMANDS:
                button = ui.button(command.label, on_click=self._opening(command), color=None)
                self._buttons.append(button.props("outline no-caps").classes("quiet"))
            kill = ui.button("Kill switch", on_click=self._open_kill, color=None)
            self._buttons.append(kill.props("unelevated no-caps").classes("danger"))
        self._answer = Text("").classes("answer")
        self._answer.props["role"] = "status"
        self.update()

    def update(self) -> None:
        """Let the buttons follow whether control is open."""
        is_allowed = self._context.can_control
        if is_allowed == self._is_allowed:
            return
        self._is_allowed = is_allowed
        for button in self._buttons:
            button.set_enabled(is_allowed)

    def _opening(self, command: Command) -> Callable[[], None]:
        def opened() -> None:
            dialog = Question(f"{command.label}?", command.meaning)
            with dialog:
                reason = _reason_field() if command.path != "/resume" else None
                resets = (
                    ui.checkbox("Also reset a loss limit that tripped") if reason is None else None
                )

                async def confirmed() -> None:
                    dialog.close()
                    content = (
                        {"reset_limits": bool(resets is not None and resets.value)}
                        if reason is None
                        else {"reason": _said(reason.value, command.label)}
                    )
                    await self._send(command.path, content, label=command.label)

                with ui.element("div").classes("dialog-tools"):
                    dialog.cancel_button()
                    ui.button(command.label, on_click=confirmed, color=None).props(
                        "unelevated no-caps"
                    ).classes("primary")
            dialog.open()

        return opened

    def _open_kill(self) -> None:
        dialog = Question(
            "Kill switch",
            "Blocks all orders and cancels until none is open. Only a resume lifts it.",
        )
        with dialog:
            reason = _reason_field()
            flatten = ui.checkbox("Also close all positions at market")
            typed = ui.input(f"Type {KILL_WORD} to confirm").props(
                "dense outlined autocomplete=off maxlength=8"
            )

            async def confirmed() -> None:
                if typed.value != KILL_WORD:
                    return
                dialog.close()
                content = {
                    "confirm": KILL_WORD,
                    "flatten": bool(flatten.value),
                    "reason": _said(reason.value, "kill"),
                }
                await self._send("/kill", content, label="Kill switch")

            with ui.element("div").classes("dialog-tools"):
                dialog.cancel_button()
                kill = (
                    ui.button("Kill", on_click=confirmed, color=None)
                    .props("unelevated no-caps")
                    .classes("danger")
                )
            kill.set_enabled(False)
            typed.on_value_change(lambda event: kill.set_enabled(event.value == KILL_WORD))
        dialog.open()

    async def _send(self, path: str, content: dict[str, Any], *, label: str) -> None:
        self._answer.show(f"{label}: sent, waiting for the answer …", kind="muted")
        try:
            answer = await self._context.post(path, content)
        except (ApiError, NeedsControlError) as e:
            self._answer.show(f"{label} failed: {e}", kind="bad")
            return
        words, kind = outcome(label, answer, wants_flat=bool(content.get("flatten")))
        self._answer.show(words, kind=kind)


def outcome(label: str, answer: dict[str, Any], *, wants_flat: bool = False) -> tuple[str, Kind]:
    """Return what came of a command in words, and how good that is.

    ``wants_flat`` says that positions were to be closed: then one that stays open is a failure,
    else it is something to know.
    """
    state = answer.get("trading_state") or answer.get("state")
    said = [f"trading is {state}" if state else "done"]
    if answer.get("paused"):
        said = ["no new trade begins"]
    if answer.get("confirmed") and not answer.get("open_orders"):
        said.append("no order is open")
    if answer.get("flattened"):
        said.append("positions are closed")
    holds = answer.get("holds")
    held = list(holds.values()) if label == RESUME and isinstance(holds, dict) else []
    if held:
        said.append("still held by " + "; ".join(str(one) for one in held))
    failures = _failures(answer)
    open_positions = _open_positions(answer)
    words = ". ".join((", ".join(said), *failures, *open_positions))
    if failures or (open_positions and wants_flat):
        return f"{label}: {words}.", "bad"
    return f"{label}: {words}.", "warn" if open_positions or held else "good"


def _failures(answer: dict[str, Any]) -> list[str]:
    # What a kill has not achieved.
    found = []
    if answer.get("confirmed") is False:
        found.append("The venue has not confirmed that no order is open")
    if answer.get("open_orders"):
        found.append(f"{answer['open_orders']} orders are still open")
    return found


def _open_positions(answer: dict[str, Any]) -> list[str]:
    position = answer.get("position")
    if not isinstance(position, dict) or not position:
        return []
    held = ", ".join(f"{symbol} {position[symbol]}" for symbol in position)
    return [f"Positions stay open: {held}"]


def _said(reason: object, label: str) -> str:
    text = " ".join(str(reason or "").split())[:_MAX_REASON]
    return f"dashboard: {text or label.lower()}"


def _reason_field() -> ui.input:
    return ui.input("Reason, kept in the journal").props(f"dense outlined maxlength={_MAX_REASON}")
