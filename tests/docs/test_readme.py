"""What README and docs promise is there: commands, options, settings, names, bounds, snippets."""

import ast
import asyncio
import dataclasses
import importlib
import inspect
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

import agents
import optimizers
import trading_system
from agents.conformance import check_signal_model
from trading_system import EnhancedTradingSystem
from trading_system.cli.main import app
from trading_system.cli.output import ExitCode
from trading_system.config.settings import KNOWN_BY_NAME, load_settings, variables
from trading_system.risk.holds import Holds
from trading_system.runtime.clock import SystemClock

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").glob("*.md")),
]
README, ARCHITECTURE, EVENT_FLOW = (
    (ROOT / name).read_text()
    for name in ("README.md", "docs/architecture.md", "docs/event_flow.md")
)
COMMANDS = typer.main.get_command(app).commands
INTERRUPTED = 130
SIZES = {"": 1, "KiB": 1024, "MiB": 1024**2}

every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


def blocks(language: str, text: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def spans(text: str) -> list[str]:
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"`([^`]+)`", prose)


def code(text: str) -> list[str]:
    """Return every line of code of a document, continued lines joined."""
    fenced = "\n".join(blocks(r"\w*", text)).replace("\\\n", " ")
    return [*fenced.splitlines(), *spans(text)]


def table(text: str, first: str, second: str) -> list[list[str]]:
    """Return the cells of the table whose header begins with ``first`` and ``second``."""
    _, found, rest = text.partition(f"| {first} | {second} ")
    assert found, f"no table of {first} and {second}"
    rows = []
    for line in rest.splitlines()[2:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return rows


def run(arguments: list[str], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("TRADING_")}
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=80,
        check=False,
        cwd=folder,
        env={**kept, **environment},
    )


def command_line(arguments: list[str], folder: Path, **environment: str) -> int:
    return run(["-m", "trading_system", *arguments], folder, **environment).returncode


# --- snippets -----------------------------------------------------------------------------------


@pytest.mark.timeout(90)
@pytest.mark.xdist_group("processes")
def test_the_python_snippets_run_as_printed(tmp_path: Path) -> None:
    models, _, system, parts = blocks("python", README)
    first, second = run(["-c", system], tmp_path), run(["-c", parts], tmp_path)
    priced = run(["-c", models], tmp_path)
    assert priced.returncode == 0, priced.stderr
    features, slippage_bps, impact_bps = priced.stdout.splitlines()
    assert "'quantity_ratio': 0.25" in features
    # Two of the four are bought at each ask.
    assert float(slippage_bps) == pytest.approx((95_445.75 / 95_445.45 - 1) * 1e4, abs=1e-9)
    assert 0.0 < float(impact_bps) < 100.0
    assert first.returncode == 0, first.stderr
    assert re.search(r"System Health: \d+(\.\d+)?/100", first.stdout)
    assert second.returncode == 0, second.stderr
    assert re.search(r"P95 Latency: \d+\.\d\dms", second.stdout)
    assert re.search(r"Execution quality: \d", second.stdout)


def test_the_own_signal_of_the_readme_conforms_and_speaks() -> None:
    names: dict[str, Any] = {"__name__": "my_signal"}
    snippet = blocks("python", README)[1]
    exec(compile(snippet, "my_signal.py", "exec"), names)
    assert check_signal_model(names["MySignal"], clock=SystemClock()).opinions > 100
    assert len(snippet.splitlines()) <= 20


@every_document
def test_python_of_a_document_is_python(document: Path) -> None:
    for snippet in blocks("python", document.read_text()):
        compile(snippet, document.name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@every_document
def test_imports_of_a_document_can_be_done(document: Path) -> None:
    ours = r"from ((?:trading_system|optimizers|agents|examples)[\w.]*) import ([\w, ]+)"
    for line in code(document.read_text()):
        for module, names in re.findall(ours, line):
            found = importlib.import_module(module)
            assert all(hasattr(found, name.strip()) for name in names.split(",")), line


def test_the_guides_import_lines_map_to_all_faces() -> None:
    pairs = [
        (old.split()[-1].strip("`"), new.split()[-1].strip("`"))
        for old, new in table(README, "guide", "here")
    ]
    assert all(old == new for old, new in pairs)
    named = {new for _, new in pairs}
    for _, line in table(README, "in the guides", "import"):
        named.update(re.findall(r"\w+", line.partition(" import ")[2]))
    faces = {*trading_system.__all__, *optimizers.__all__, *agents.__all__}
    assert named == faces


# --- commands, options, exit codes --------------------------------------------------------------


def test_the_table_of_commands_is_what_help_lists(tmp_path: Path) -> None:
    shown = run(["-m", "trading_system", "--help"], tmp_path).stdout.partition("Commands:")[2]
    listed = re.findall(r"^  ([a-z][a-z-]*)  ", shown, flags=re.MULTILINE)
    assert [row[0].strip("`") for row in table(README, "command", "does")] == listed
    assert set(listed) == set(COMMANDS)


def commands() -> list[list[str]]:
    """Return every command and every command of a command, as words."""
    return [[name] for name in COMMANDS] + [
        [name, inner]
        for name, command in COMMANDS.items()
        for inner in getattr(command, "commands", {})
    ]


def options_of(words: list[str]) -> set[str]:
    """Return the options of the command that ``words`` begin with; fail if there is none."""
    command = COMMANDS[words[0]]
    if len(words) > 1 and words[1] in getattr(command, "commands", {}):
        command = command.commands[words[1]]
    return {"--help", *(option for parameter in command.params for option in parameter.opts)}


@every_document
def test_commands_and_options_of_a_document_exist(document: Path) -> None:
    for line in code(document.read_text()):
        named = re.search(r"(?<![\w/.-])(?:\.venv/bin/)?trading-system +([a-z].*)", line)
        words = (named.group(1) if named else line).partition(" #")[0].split()
        if named or (words and words[0] in COMMANDS and "--" in line):
            given = {word.partition("=")[0] for word in words if word.startswith("--")}
            assert given <= options_of(words), f"{document.name}: {line}"


@every_document
def test_options_named_alone_belong_to_some_command(document: Path) -> None:
    known = set().union(*(options_of(words) for words in commands()))
    for span in spans(document.read_text()):
        if re.match(r"--[a-z]", span):
            assert re.split(r"[ =]", span)[0] in known, f"{document.name}: {span}"


def test_exit_codes_are_those_of_the_program(tmp_path: Path) -> None:
    named = {int(row[0]) for row in table(README, "exit code", "meaning")}
    assert named == {*map(int, ExitCode), INTERRUPTED}
    assert command_line(["--version"], tmp_path) == ExitCode.OK
    assert command_line(["status"], tmp_path) == ExitCode.NOT_RUNNING
    assert command_line(["start"], tmp_path, TRADING_RISK__NONE="1") == ExitCode.MISUSE
    assert command_line(["kill"], tmp_path) == ExitCode.MISUSE


@every_document
def test_exit_codes_of_a_document_exist(document: Path) -> None:
    found = re.findall(r"\bexit(?:s with| code)? (?:code )?(\d+)", document.read_text())
    assert {int(number) for number in found} <= {*map(int, ExitCode), INTERRUPTED}


# --- settings -----------------------------------------------------------------------------------


@every_document
def test_settings_of_a_document_exist(document: Path) -> None:
    named = set(re.findall(r"\bTRADING_[A-Z][A-Z0-9_]*(?!\w|\.\.\.)", document.read_text()))
    assert named <= {*variables(), *KNOWN_BY_NAME}


@every_document
def test_values_given_to_settings_are_accepted(document: Path, tmp_path: Path) -> None:
    text = document.read_text()
    given = [re.findall(r"\b(TRADING_\w+)=([^\s`]+)", line) for line in code(text)]
    given += [
        re.findall(r"^(TRADING_\w+)=(\S+)", block, re.MULTILINE) for block in blocks("sh", text)
    ]
    whole = {frozenset(pairs) for pairs in given if pairs}
    for pairs in whole:
        if any(pairs < other for other in whole):
            continue  # a line of a file that only makes sense as a whole
        load_settings(
            {},
            environ=dict(pairs),
            dotenv_path=tmp_path / "none",
            config_path=tmp_path / "none",
        )


def test_the_defaults_of_the_readme_are_the_defaults() -> None:
    known = variables()
    for name, default, _ in table(README, "setting", "default"):
        assert known[name.strip("`")].default == default.strip("`")


# --- places and names ---------------------------------------------------------------------------


@every_document
def test_every_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
        found = document.parent / target
        assert found.is_dir() or found.stat().st_size > 0, target


@every_document
def test_make_targets_of_a_document_exist(document: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))
    options = {"BENCH_JSON", *re.findall(r"^([A-Z]+) \?=", makefile, flags=re.MULTILINE)}
    for line in code(document.read_text()):
        for target, option in re.findall(r"(?:^|\s)make ([a-z-]+)(?: ([A-Z_]+)=)?", line):
            assert target in targets, line
            assert not option or option in options, line


def path_of(span: str) -> Path | None:
    """Return the file that a span such as ``live/feed.py`` names."""
    found = (ROOT / span, ROOT / "trading_system" / span)
    return next((path for path in found if path.exists()), None)


@every_document
def test_files_named_in_a_document_exist(document: Path) -> None:
    for span in spans(document.read_text()):
        if re.fullmatch(r"[\w/-]+/[\w-]+\.(py|toml|md)", span):
            assert path_of(span) is not None, span


def resolved(name: str) -> Any:
    """Return what a dotted name means, from the root or from inside ``trading_system``."""
    try:
        found = pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        found = pkgutil.resolve_name(f"trading_system.{name}")
    if not inspect.ismemberdescriptor(found):
        return found
    defaults = {field.name: field.default for field in dataclasses.fields(found.__objclass__)}
    return defaults[found.__name__]


@pytest.mark.parametrize("text", [ARCHITECTURE, EVENT_FLOW], ids=["architecture", "event_flow"])
def test_dotted_names_of_the_architecture_mean_something(text: str) -> None:
    rooms = {path.stem for path in (ROOT / "trading_system").iterdir()} | {"optimizers", "agents"}
    for span in spans(text):
        is_name = re.fullmatch(r"[a-z_]+(\.\w+)+", span) and not span.endswith((".json", ".toml"))
        if is_name and span.partition(".")[0] in rooms:
            resolved(span)


def test_methods_named_beside_a_file_are_in_it() -> None:
    path = None
    for span in spans(EVENT_FLOW):
        if span.endswith(".py"):
            path = path_of(span)
        elif path is not None and re.fullmatch(r"[A-Z]\w+\.\w+", span):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            resolved(f"{module}.{span}")


def test_the_bounds_are_those_of_the_code() -> None:
    for what, bound, _, place in table(EVENT_FLOW, "what", "bound"):
        name = place.strip("`")
        if name.startswith("TRADING_"):
            value: Any = int(variables()[name].default)
        else:
            value = resolved(name)
        number = re.search(r"(\d[\d,]*)(?: ([KM]iB))?", bound)
        assert number is not None, what
        if isinstance(value, int):
            size = int(number.group(1).replace(",", "")) * SIZES[number.group(2) or ""]
            assert size == value, what


def test_the_architecture_names_every_room() -> None:
    known = set(spans(ARCHITECTURE))
    words = {part for span in known for part in span.split(".")}
    for package in ("trading_system", "optimizers"):
        for path in (ROOT / package).iterdir():
            is_room = path.is_dir() and (path / "__init__.py").exists()
            assert not is_room or path.name in words, path


def test_the_holds_of_the_readme_are_those_in_use() -> None:
    named = {row[0].strip("`") for row in table(README, "hold", "state")}
    assert named == set(re.findall(r"``([a-z-]+)``", Holds.__doc__ or ""))


def test_the_face_has_the_documented_methods() -> None:
    start = EnhancedTradingSystem.start_system
    assert asyncio.iscoroutinefunction(start)
    assert list(inspect.signature(start).parameters) == ["self"]
    stop = inspect.signature(EnhancedTradingSystem.stop_system)
    assert list(stop.parameters) == ["self", "reason"]
    status = inspect.signature(EnhancedTradingSystem.get_system_status)
    assert list(status.parameters) == ["self"]
