"""Which requests a user may send past the risk gate: none that can change an order or an account.

The rule looks at method and path only, whatever the host, since the venue may be reached under
many names. It prefers refusing too much: a POST is refused when, after all decoding that any server
on the way might do, its path holds the name of a family of changing V5 endpoints or of the older
private interfaces. Nothing is resolved away: ``/v5/market/../order/create`` and
``/v5/order/../market`` are both refused.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlencode

import msgspec
from yarl import URL

from trading_system.domain.errors import ValidationError

_FAMILIES = frozenset(
    {
        "account",
        "affiliate",
        "asset",
        "broker",
        "convert",
        "copytrading",
        "crypto-loan",
        "crypto-loan-common",
        "crypto-loan-fixed",
        "crypto-loan-flexible",
        "earn",
        "execution",
        "fiat",
        "ins-loan",
        "lending",
        "order",
        "orders",
        "p2p",
        "position",
        "pre-upgrade",
        "private",
        "rfq",
        "spot-cross-margin-trade",
        "spot-lever-token",
        "spot-margin-trade",
        "spread",
        "stop-order",
        "strategy",
        "user",
    }
)
_OLD_ROOTS = frozenset({"open-api", "private"})
_VERSION = re.compile(r"v[0-9]+")
_PUBLIC = ("/v5/market/", "/v5/announcements/")
_TIME = "/v5/market/time"
_MAX_DECODINGS = 8
_AUTH_HEADER = "x-bapi-"
# Headers that say where the message ends, where it goes, or what it really means.
_FORBIDDEN_HEADERS = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
        "x-original-url",
        "x-rewrite-url",
    }
)
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A checked request of a user, not signed yet.

    Parameters
    ----------
    url : URL
        Absolute, query included.
    body : bytes or None
        JSON of a POST's parameters.
    """

    method: str
    url: URL
    headers: Mapping[str, str]
    body: bytes | None
    is_denied: bool

    @property
    def endpoint(self) -> str:
        """Method and path, for statistics."""
        return f"{self.method} {self.url.path}"

    @property
    def payload(self) -> bytes:
        """What a V5 signature covers: the query as sent, or the body."""
        if self.method == "GET":
            return self.url.raw_query_string.encode()
        return self.body or b""

    @property
    def sharing_key(self) -> Hashable | None:
        """What equal public reads have in common; None for what each caller must ask himself.

        Account data is never shared: who asks after an order must not get an answer from before.
        Nor is the venue's time, whose worth is the moment.
        """
        path = self.url.path
        if self.method != "GET" or not path.startswith(_PUBLIC) or path == _TIME:
            return None
        return (str(self.url), *sorted(self.headers.items()))

    def needs_signature(self, base_url: str) -> bool:
        """Return whether the request goes to a private path of the host at ``base_url``."""
        has_own = any(name.lower().startswith(_AUTH_HEADER) for name in self.headers)
        if has_own or self.url.origin() != URL(base_url).origin():
            return False
        path = self.url.path
        return path.startswith("/v5/") and not path.startswith(_PUBLIC)


def changes_orders(method: str, path: str) -> bool:
    """Return whether a request may change an order, a position, an account or an asset.

    Parameters
    ----------
    method : str
        HTTP method in upper case; reading methods change nothing.
    path : str
        Path as it would be sent, encoded or not.
    """
    if method in {"GET", "HEAD"}:
        return False
    text = path
    for _ in range(_MAX_DECODINGS):
        decoded = unquote(text)
        if decoded == text:
            break
        text = decoded
    else:
        return True  # nobody encodes a path that often without a purpose
    text = unicodedata.normalize("NFKC", text).replace("\\", "/").casefold()
    parts = {part.split(";")[0].split("?")[0].strip(" \t\r\n\0.") for part in text.split("/")}
    is_venue_path = bool(parts & _OLD_ROOTS) or any(map(_VERSION.fullmatch, parts))
    return is_venue_path and bool(parts & _FAMILIES)


def checked_call(
    method: str,
    url: str,
    *,
    params: Mapping[str, Any] | None,
    headers: Mapping[str, str] | None,
    base_url: str,
) -> Call:
    """Return the request as it would be sent.

    Parameters
    ----------
    url : str
        Absolute, or a path that begins with one slash and belongs to ``base_url``.
    params : Mapping[str, Any] or None
        Query of a GET (appended to the one in ``url``), JSON body of a POST; None values are left
        out.

    Raises
    ------
    ValidationError
        If the method, the address, a parameter or a header is not usable.
    """
    if not isinstance(method, str) or method.upper() not in {"GET", "POST"}:
        raise ValidationError(f"method must be GET or POST, was {method!r}")
    given = {name: value for name, value in (params or {}).items() if value is not None}
    verb = method.upper()
    address = _address(url, base_url)
    body = None
    if verb == "GET" and given:
        query = urlencode({name: _spelled(value) for name, value in given.items()}, doseq=True)
        joined = f"{address.raw_query_string}&{query}" if address.raw_query_string else query
        address = URL(f"{address.with_query(None)}?{joined}", encoded=True)
    elif verb == "POST":
        body = _json(given)
    return Call(
        method=verb,
        url=address,
        headers=_checked_headers(headers or {}, has_body=body is not None),
        body=body,
        is_denied=changes_orders(verb, address.raw_path),
    )


def checked_timeout(timeout_s: float) -> float:
    """Return ``timeout_s`` if it is a positive, finite number of seconds."""
    if isinstance(timeout_s, bool) or not isinstance(timeout_s, int | float):
        raise ValidationError(f"timeout must be a number of seconds, was {timeout_s!r}")
    if not 0 < timeout_s < math.inf:
        raise ValidationError(f"timeout must be above 0 s and finite, was {timeout_s}")
    return float(timeout_s)


def _address(url: str, base_url: str) -> URL:
    if not isinstance(url, str) or not url.isascii() or any(c <= " " or c == "\x7f" for c in url):
        raise ValidationError(f"url must be text without spaces in ASCII, was {url!r:.200}")
    if url.startswith("/") and url[1:2] not in {"/", "\\"}:
        url = f"{base_url}{url}"
    try:
        address = URL(url, encoded=True)
        is_usable = address.scheme in {"http", "https"} and bool(address.host)
        is_usable = is_usable and address.user is None and address.password is None
        _ = address.port
    except ValueError as e:
        raise ValidationError(f"url cannot be read: {url[:200]!r}") from e
    if not is_usable or "#" in url:
        raise ValidationError(
            f"url must be a path or an http(s) address without credentials, was {url[:200]!r}"
        )
    return address


def _spelled(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else value


def _json(params: Mapping[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(params)
    except (TypeError, ValueError, OverflowError, RecursionError) as e:
        raise ValidationError(f"params cannot be written as JSON: {e}") from e


def _checked_headers(headers: Mapping[str, str], *, has_body: bool) -> dict[str, str]:
    checked: dict[str, str] = {}
    for name, value in headers.items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise ValidationError(f"header names must be plain words, was {name!r}")
        if not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
            raise ValidationError(f"the value of header {name} must be one line of ASCII text")
        if name.lower() in _FORBIDDEN_HEADERS:
            raise ValidationError(f"header {name} is not the caller's to set")
        checked[name] = value
    if has_body and "content-type" not in {name.lower() for name in checked}:
        checked["Content-Type"] = "application/json"
    return checked
