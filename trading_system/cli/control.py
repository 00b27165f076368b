"""Commands that talk to the running system through its control API."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from trading_system.cli import output
from trading_system.cli.options import Json, part, settings_with
from trading_system.cli.output import ExitCode
from trading_system.domain.errors import ConfigurationError

# A kill cancels until the venue confirms that nothing rests, and may close positions.
_KILL_S = 60.0
_COMMAND_S = 15.0
_KILL_WORD = "KILL"

Reason = Annotated[str, typer.Option(help="Shown in the status and the report.")]


def ask(
    method: str, path: str, body: dict[str, Any] | None = None, *, timeout_s: float = _COMMAND_S
) -> dict[str, Any]:
    """Return the running system's answer; see :func:`trading_system.cli.client.call`."""
    settings = settings_with({})
    answer: dict[str, Any] = part("cli.client").call(
        settings.data_dir, method, path, body, timeout_s=timeout_s
    )
    return answer


def status(*, as_json: Json = False) -> int:
    """Show how the running system is doing."""
    answer = ask("GET", "/status")
    if as_json:
        output.emit_json(answer)
    else:
        part("cli.report").print_report(answer)
    return int(ExitCode.OK)


def compliance(*, as_json: Json = False) -> int:
    """Compare the running system with its targets. Exit 0 only if every target is met."""
    answer = ask("GET", "/compliance")
    if as_json:
        output.emit_json(answer)
    else:
        part("cli.report").print_compliance(answer["targets"], answer.get("time_in_compliance"))
    is_met = all(answer["performance_compliance"].values())
    return int(ExitCode.OK if is_met else ExitCode.TARGET_MISSED)


def stop(*, reason: Reason = "stop command", as_json: Json = False) -> int:
    """Ask the running system to stop in order."""
    return _told(
        ask("POST", "/stop", {"reason": reason}), f"stop accepted: {reason}", as_json=as_json
    )


def pause(*, reason: Reason = "pause command", as_json: Json = False) -> int:
    """Begin no new trade; open trades are still watched and closed."""
    answer = ask("POST", "/pause", {"reason": reason})
    return _told(
        answer, "paused: no new trade begins; `trading-system resume` lifts it", as_json=as_json
    )


def resume(
    *,
    reset_limits: Annotated[
        bool, typer.Option("--reset-limits", help="Also lift a latched loss limit.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Lift pause, reduce-only and kill."""
    answer = ask("POST", "/resume", {"reset_limits": reset_limits})
    return _told(answer, "resumed", as_json=as_json)


def reduce_only(*, reason: Reason = "reduce-only command", as_json: Json = False) -> int:
    """Let only orders through that shrink a position."""
    answer = ask("POST", "/reduce-only", {"reason": reason})
    return _told(answer, "reduce-only: positions may only shrink", as_json=as_json)


def kill(
    *,
    flatten: Annotated[
        bool, typer.Option("--flatten", help="Close the positions afterwards.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    reason: Reason = "kill command",
    as_json: Json = False,
) -> int:
    """Block all orders and cancel until none is open. Exit 0 only if the venue confirmed it."""
    if not (yes or as_json):
        _confirm(flatten=flatten)
    body = {"reason": reason, "flatten": flatten, "confirm": _KILL_WORD}
    answer = ask("POST", "/kill", body, timeout_s=_KILL_S)
    is_done = _is_confirmed(answer, flatten=flatten)
    text = "killed: no order is open" if is_done else "killed, but the venue did not confirm it"
    _told(answer, text, as_json=as_json)
    return int(ExitCode.OK if is_done else ExitCode.FAILED)


def _is_confirmed(answer: dict[str, Any], *, flatten: bool) -> bool:
    is_clear = answer.get("confirmed") is True and answer.get("open_orders") == 0
    return is_clear and (answer.get("flattened") is True or not flatten)


def _confirm(*, flatten: bool) -> None:
    if not sys.stdin.isatty():
        raise ConfigurationError("kill asks for confirmation on a terminal; without one pass --yes")
    what = "cancels all orders and closes all positions" if flatten else "cancels all orders"
    output.note(f"This blocks trading and {what}. Type {_KILL_WORD} to go on:")
    if sys.stdin.readline().strip() != _KILL_WORD:
        raise typer.Abort


def _told(answer: dict[str, Any], text: str, *, as_json: bool) -> int:
    if as_json:
        output.emit_json(answer)
    else:
        output.note(text)
        output.emit_table(
            "Answer", ("what", "value"), [(key, str(value)) for key, value in answer.items()]
        )
    return int(ExitCode.OK)
