"""What agents, venues and reasons say cannot steer a terminal, hide itself or break a table."""

import io

import pytest
from rich.console import Console

from trading_system.cli import output, top, watching
from trading_system.domain.errors import ConfigurationError

HOSTILE = {
    "a closing tag": ("[/x] done", "[/x] done"),
    "a style": ("[red]hidden[/red]", "[red]hidden[/red]"),
    "a link": ("[link=http://evil.example]x[/link]", "[link=http://evil.example]x[/link]"),
    "a cleared screen": ("\x1b[2Jx", r"\x1b[2Jx"),
    "a title": ("\x1b]0;owned\x07", r"\x1b]0;owned\x07"),
    "an eight-bit escape": ("\x9b2J", r"\x9b2J"),
    "an overwritten line": ("bad\rgood", r"bad\rgood"),
    "text from right to left": ("\u202edaer", r"\u202edaer"),
}


@pytest.mark.parametrize("way", HOSTILE)
def test_a_table_and_an_error_show_what_was_said(capsys, way):
    said, shown = HOSTILE[way]
    output.emit_table("Title", ("what", "figure"), [("reason", said)])
    output.fail(f"refused: {said.replace(chr(13), '-')}")
    out, err = capsys.readouterr()
    assert shown in out
    assert "\x1b" not in out + err


def test_the_live_screen_shows_what_was_said():
    said = "".join(text for text, _ in HOSTILE.values())
    status = {
        "trading_state": "ACTIVE",
        "environment": "simulated",
        "state": "RUNNING",
        "behaviour": {"level": "throttle", "reason": said},
        "uptime_s": 1.0,
        "edge": None,
        "health": {"score": 50.0, "reasons": [said]},
    }
    row = {"rule": "x", "subject": said, "severity": "info", "state": "firing"}
    row |= {"message": said, "remedy": said}
    console = Console(file=io.StringIO(), width=400)
    for part in (top._headline(status), top._health(status), top._alerts([row])):
        console.print(part)
    shown = console.file.getvalue()
    assert not {"\x1b", "\x9b", "\x07", "\u202e"} & set(shown)
    assert "[/x] done" in shown


@pytest.mark.parametrize("given", ["é", "\uff11", "../kill", "", "a b", "a\n"])
def test_an_alert_id_that_cannot_be_one_is_refused_before_it_is_sent(given):
    with pytest.raises(ConfigurationError, match="needs an id of the list"):
        watching.alerts(acknowledge=given)
