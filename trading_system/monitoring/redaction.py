"""Takes secrets out of everything that is written or sent: logs, tracebacks, alerts.

Two nets: texts that are known to be secret (:meth:`Redactor.add`), however they are escaped, and
shapes that secrets have (authorization headers, credentials in addresses, private keys). What they
find becomes ``***``. :data:`REDACTOR` serves the whole process, because logs do.
"""

from __future__ import annotations

import base64
import html
import json
import logging
import re
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Final, TypeAlias
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

from typing_extensions import override

MASK: Final = "***"
Json: TypeAlias = "dict[str, Json] | list[Json] | str | float | bool | None"
"""A value as JSON has it."""

_SHORTEST: Final = 4
_SHORTEST_PART: Final = 8
_PASSES: Final = 8
_DEEPEST: Final = 6

_QUOTE = r"""(?:\\*["'])?"""
_OPEN = r"""(?:b?\\*["'])?"""
_VALUE = r"""[^\s"',;&}\])\\]+"""
_NAMES = (
    r"(?:api[_-]?key|api[_-]?secret|passw(?:or)?d|passphrase|(?:access|control|read)[_-]?token)"
)
_KEY = r"[A-Z ]{0,30}PRIVATE KEY-----"
_SCHEME = r"(?:bearer|basic|digest|token)"
_HOOKS = (
    r"(?:hooks\.slack\.com|discord(?:app)?\.com/api/webhooks|api\.telegram\.org"
    r"|hc-ping\.com|webhook\.office\.com)"
)
_SHAPES: Final = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), replacement)
    for pattern, replacement in (
        (
            rf"-----BEGIN {_KEY}.*?(?:-----END {_KEY}|\Z)",
            MASK,
        ),
        (
            rf"(authorization{_QUOTE}\s*[:=,]\s*{_OPEN})(?:{_SCHEME}\s+)*{_VALUE}",
            rf"\g<1>{MASK}",
        ),
        (r"\b(bearer\s+)[\w.~+/=-]{8,}", rf"\g<1>{MASK}"),
        (rf"(x-bapi-(?:api-key|sign){_QUOTE}\s*[:=,]\s*{_OPEN}){_VALUE}", rf"\g<1>{MASK}"),
        (rf"({_NAMES}{_QUOTE}\s*[:=]\s*{_OPEN}){_VALUE}", rf"\g<1>{MASK}"),
        (r"([?&](?:token|key|secret|sign(?:ature)?|auth)=)[^&\s\"'\\]+", rf"\g<1>{MASK}"),
        (rf"(https?://[\w.-]{{0,60}}{_HOOKS}/)[^\s\"'\\]+", rf"\g<1>{MASK}"),
        # Other schemes than those of the web are apprise's, and may hold the token anywhere.
        (r"\b(?!(?:https?|wss?|file)://)([a-z][a-z0-9+.]{1,20}://)[^\s\"'\\]+", rf"\g<1>{MASK}"),
        (r"\b([a-z][a-z0-9+.]{1,20}://)[^\s/?#\"'\\]{1,512}@", rf"\g<1>{MASK}@"),
    )
)
_PLAIN = re.compile(r"[^A-Za-z0-9]+")
_ESCAPED = re.compile(r"(\\+|[\"'])")
_HINT = re.compile(r"-----BEGIN|authorization|bearer|x-bapi-|://|[?&]|" + _NAMES, re.IGNORECASE)
_NAMED = re.compile(
    rf"(?:.*[_.-])?(?:{_NAMES}|secret|token|authorization|x-bapi-sign)", re.IGNORECASE
)


class Redactor:
    """Replaces secrets in texts; applying it twice changes nothing more.

    Texts shorter than four characters are no secrets: they would mangle every line. May be called
    from any thread.
    """

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._cores: tuple[str, ...] = ()
        self._matcher: re.Pattern[str] | None = None
        self._lock = threading.Lock()

    def add(self, secret: str) -> None:
        """Never let ``secret`` out again, neither plain nor as JSON, URLs or HTML escape it."""
        secret = secret.strip()
        if len(secret) < _SHORTEST or not secret.strip("*"):
            return
        with self._lock:
            self._known |= _spellings(secret)
            ordered = sorted(self._known, key=lambda text: (-len(text), text))
            self._matcher = re.compile("|".join(map(_pattern, ordered)))
            self._cores = tuple({max(_PLAIN.split(text), key=len) for text in ordered})

    def add_address(self, address: str) -> None:
        """Never let an address out again, nor what in it may be a password or a token."""
        self.add(address)
        for part in _parts(address):
            self.add(part)

    def learn(self, settings: object) -> None:
        """Add every secret of ``settings``, nested sections included; addresses with their parts.

        A secret is whatever has ``get_secret_value``, as pydantic's types do.
        """
        for secret in _secrets(settings, 0):
            if "://" in secret:
                self.add_address(secret)
            else:
                self.add(secret)

    def __call__(self, text: str) -> str:
        """Return ``text`` without secrets."""
        for _ in range(_PASSES):
            cleaned = self._once(text)
            if cleaned == text:
                break
            text = cleaned
        return text

    def is_told_by(self, text: str) -> bool:
        """Return whether ``text`` holds a known secret; fast enough for every answer of the API."""
        if self._matcher is None or not any(core in text for core in self._cores):
            return False
        return self._matcher.search(text) is not None

    def clean(self, value: object) -> Json:
        """Return ``value`` JSON-safe and without secrets, in keys and at any depth.

        Numbers that JSON has not become text, and so does what is nested deeper than six times.
        """
        return self._clean(value, 0)

    def _once(self, text: str) -> str:
        if self._matcher is not None:
            text = self._matcher.sub(MASK, text)
        if _HINT.search(text):
            for shape, replacement in _SHAPES:
                text = shape.sub(replacement, text)
        return text

    def _clean(self, value: object, depth: int) -> Json:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int | float):
            return self._number(value)
        if depth < _DEEPEST:
            if isinstance(value, Mapping):
                return {
                    self(_text(key)): self._field(key, item, depth) for key, item in value.items()
                }
            if isinstance(value, list | tuple | set | frozenset):
                return [self._clean(item, depth + 1) for item in value]
        return self(_text(value))

    def _field(self, key: object, item: object, depth: int) -> Json:
        if isinstance(item, str | bytes) and item and _NAMED.fullmatch(_text(key)):
            return MASK
        return self._clean(item, depth + 1)

    def _number(self, value: float) -> float | str:
        text = repr(value)
        is_plain = text.lstrip("-")[:1].isdigit() and self(text) == text
        return value if is_plain else self(text)


def _text(value: object) -> str:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    try:
        return str(value)
    except Exception:  # a broken __str__ of anybody must not break a log line
        return f"<{type(value).__name__}>"


def _spellings(secret: str) -> set[str]:
    encoded = base64.b64encode(secret.encode()).decode()
    spelt = {
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
        ascii(secret)[1:-1],
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        html.escape(secret),
        encoded,
    }
    # HTML and URLs may hold what JSON escaped, and the other way round.
    return spelt | {json.dumps(text)[1:-1] for text in spelt}


def _pattern(text: str) -> str:
    """Return what matches ``text`` also if it was escaped again and again, as in nested reprs."""
    parts = (
        r"\\{1,32}"
        if part.startswith("\\")
        else r"\\{0,32}" + part
        if part in "\"'"
        else re.escape(part)
        for part in _ESCAPED.split(text)
        if part
    )
    return "".join(parts).replace(r"\\{1,32}\\{0,32}", r"\\{1,32}")


def _parts(address: str) -> Iterator[str]:
    """Yield what in ``address`` may be secret: credentials, tokens in host, path and query."""
    _, _, rest = address.partition("://")
    yield rest
    try:
        parts = urlsplit(address)
    except ValueError:
        return
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    yield password
    yield unquote(password)
    host = parts.hostname or ""
    texts = [user, "" if "." in host or host == "localhost" else parts.netloc.rpartition("@")[2]]
    texts += parts.path.split("/")
    texts += [value for _, value in parse_qsl(parts.query)]
    for text in texts:
        if len(text) >= _SHORTEST_PART:
            yield text
            yield unquote(text)


def _secrets(value: object, depth: int) -> Iterator[str]:
    reveal = getattr(value, "get_secret_value", None)
    if reveal is not None:
        yield str(reveal())
    elif depth < _DEEPEST:
        if isinstance(value, tuple | list):
            inner: list[object] = list(value)
        elif isinstance(value, Mapping):
            inner = list(value.values())
        else:
            inner = list(getattr(value, "__dict__", {}).values())
        for item in inner:
            yield from _secrets(item, depth + 1)


REDACTOR: Final = Redactor()
"""The redactor of this process; whoever reads or makes a secret adds it here."""


def redact_rendered(_logger: object, _method: str, rendered: object) -> str:
    """Take secrets out of a rendered line; the last processor of structlog's chain."""
    return REDACTOR(str(rendered))


class RedactingFormatter(logging.Formatter):
    """Formats as ``inner`` does, tracebacks included, then takes secrets out."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    @override
    def format(self, record: logging.LogRecord) -> str:
        """Return the line without secrets."""
        return REDACTOR(self._inner.format(record))


def install() -> None:
    """Take secrets out of standard logging's lines and of tracebacks that nobody caught.

    Handlers of the root logger are wrapped once; structlog needs :func:`redact_rendered` as its
    last processor.
    """
    for handler in logging.getLogger().handlers:
        if not isinstance(handler.formatter, RedactingFormatter):
            handler.setFormatter(RedactingFormatter(handler.formatter or logging.Formatter()))
    sys.excepthook = _tell_uncaught
    threading.excepthook = _tell_uncaught_in_thread


def _tell_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    sys.stderr.write(REDACTOR("".join(traceback.format_exception(kind, error, trace))))
    sys.stderr.flush()


def _tell_uncaught_in_thread(given: threading.ExceptHookArgs) -> None:
    if given.exc_value is not None and given.exc_type is not SystemExit:
        _tell_uncaught(given.exc_type, given.exc_value, given.exc_traceback)
