"""Reading fault schedules: JSON lines, or one JSON array of rules."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NoReturn

import msgspec

from trading_system.domain.errors import ConfigurationError
from trading_system.simulation.faults.names import WIRE_FAULTS, Fault
from trading_system.simulation.faults.rules import FaultRule, problem_of

MAX_RULES = 1_000
MAX_BYTES = 1024 * 1024
_LINES = re.compile(r"\s*")
_ITEMS = re.compile(r"[\s,]*")
_UNKNOWN = re.compile(r"unknown field `(\w+)`")
_WRONG = re.compile(r"(.*) - at `\$\.(\w+)`")


def load_schedule(path: Path) -> list[FaultRule]:
    """Read a schedule from a file.

    Raises
    ------
    ConfigurationError
        If the file cannot be read, or a rule in it is wrong; names the line and the remedy.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as e:
        raise ConfigurationError(f"cannot read fault schedule {path} ({e.strerror})") from e
    if len(raw) > MAX_BYTES:
        raise ConfigurationError(f"fault schedule {path} is larger than {MAX_BYTES} bytes")
    try:
        text = raw.decode()
    except UnicodeDecodeError as e:
        raise ConfigurationError(f"fault schedule {path} is not UTF-8 text") from e
    return parse_schedule(text, source=str(path))


def parse_schedule(text: str, *, source: str) -> list[FaultRule]:
    """Return the rules in ``text``: JSON objects line by line, or in one array.

    Raises
    ------
    ConfigurationError
        If something is no rule; names ``source``, the line and the remedy.
    """
    body, start = text.rstrip(), len(text) - len(text.lstrip())
    between = _LINES
    if body.startswith("[", start):
        _check_array(body, source)
        body, start, between = body[:-1], start + 1, _ITEMS
    rules: list[FaultRule] = []
    position = _skip(between, body, start)
    while position < len(body):
        where = f"{source}:{_line(body, position)}"
        if len(rules) >= MAX_RULES:
            raise ConfigurationError(f"{where}: a schedule has at most {MAX_RULES} rules")
        value, position = _value(body, position, where)
        rules.append(_rule(value, where))
        position = _skip(between, body, position)
    return rules


def _check_array(text: str, source: str) -> None:
    try:
        json.loads(text)
    except json.JSONDecodeError as e:
        raise ConfigurationError(f"{source}:{e.lineno}: not a JSON array ({e.msg})") from e
    except (ValueError, RecursionError) as e:
        raise ConfigurationError(f"{source}: not a JSON array of rules") from e


def _value(text: str, position: int, where: str) -> tuple[object, int]:
    try:
        return _DECODER.raw_decode(text, position)
    except (ValueError, RecursionError) as e:
        reason = e.msg if isinstance(e, json.JSONDecodeError) else "not finite or too deep"
        raise ConfigurationError(
            f"{where}: not a JSON object ({reason}): write one rule like "
            '{"fault": "gap", "topic": "orderbook.50.*"}'
        ) from e


def _skip(between: re.Pattern[str], text: str, position: int) -> int:
    gap = between.match(text, position)
    assert gap is not None, "the patterns match the empty text"
    return gap.end()


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def _rule(value: object, where: str) -> FaultRule:
    if not isinstance(value, dict):
        raise ConfigurationError(f"{where}: a rule is a JSON object with at least fault")
    name = value.get("fault")
    if name not in list(Fault):
        known = ", ".join(sorted(set(Fault) - WIRE_FAULTS))
        raise ConfigurationError(f"{where}: unknown fault {name!r}: use one of {known}")
    try:
        rule = msgspec.convert(value, FaultRule)
    except msgspec.ValidationError as e:
        raise ConfigurationError(f"{where}: {_reason(str(e))}") from e
    problem = problem_of(rule)
    if problem:
        raise ConfigurationError(f"{where}: {problem}")
    return rule


def _reason(text: str) -> str:
    unknown, wrong = _UNKNOWN.search(text), _WRONG.fullmatch(text)
    if unknown is not None:
        return f"unknown field {unknown[1]}: use {', '.join(FaultRule.__struct_fields__)}"
    return text if wrong is None else f"{wrong[2]}: {wrong[1][0].lower()}{wrong[1][1:]}"
