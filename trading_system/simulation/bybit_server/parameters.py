"""Strict reading of untrusted queries and bodies: whatever is wrong becomes code 10001."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TypeVar
from urllib.parse import parse_qsl

import msgspec

from trading_system.domain.errors import ValidationError
from trading_system.domain.instruments import SPOT_SUFFIX, Category, parse_decimal, plain
from trading_system.simulation.records import VenueReject

BAD_PARAMETER = 10001

_MAX_TEXT = 256
_MAX_BRACKETS = 256
_MAX_QUERY_FIELDS = 100
_MAX_EXPONENT = 30
_MAX_INTEGER = 10**15
_FLAGS = {"true": True, "false": False}
_IS_LIMIT = {"Market": False, "Limit": True}
_CATEGORIES = ("linear", "spot", "inverse", "option")
LISTED = {"linear": Category.LINEAR, "spot": Category.SPOT}
"""Categories that this venue can list, by Bybit's names."""

Choice = TypeVar("Choice")


class _Number(str):
    """A JSON number with a fraction or exponent, as the client wrote it."""

    __slots__ = ()


_DECODER = msgspec.json.Decoder(float_hook=_Number)


class DetailedReject(VenueReject):
    """A refusal whose answer carries a payload.

    Parameters
    ----------
    code, message : int, str
        As in :class:`VenueReject`.
    result : dict
        JSON object for ``result``.
    """

    def __init__(self, code: int, message: str, *, result: dict[str, object]) -> None:
        super().__init__(code, message)
        self.result = result


def bad(message: str) -> VenueReject:
    """Return the refusal of a malformed parameter."""
    return VenueReject(BAD_PARAMETER, message)


def decode_object(raw: bytes | str) -> dict[str, object]:
    """Return the JSON object spelled by ``raw``.

    Raises
    ------
    VenueReject
        10001 if the text is no JSON object, is nested or branched beyond reason, or holds
        NaN or infinities.
    """
    value = decode_json(raw)
    if not isinstance(value, dict):
        raise bad("request body must be a JSON object")
    return value


def decode_json(raw: bytes | str) -> object:
    """Return the JSON value spelled by ``raw``; fractions stay text (see :func:`decode_object`)."""
    if isinstance(raw, str):
        raw = raw.encode("utf-8", "surrogatepass")
    if raw.count(b"{") + raw.count(b"[") > _MAX_BRACKETS:
        raise bad("request body holds too many objects or arrays")
    try:
        return _DECODER.decode(raw)
    except (msgspec.DecodeError, ValueError, RecursionError) as e:
        raise bad("request body is not valid JSON") from e


def parse_query(raw: str) -> dict[str, str]:
    """Return the fields of a raw query string; of duplicates the last one counts."""
    try:
        pairs = parse_qsl(raw, keep_blank_values=True, max_num_fields=_MAX_QUERY_FIELDS)
    except ValueError as e:
        raise bad("query string has too many fields") from e
    return dict(pairs)


class Fields:
    """Typed access to the fields of one request.

    Absent fields, JSON null and empty text are the same thing; unknown fields are ignored.
    Numbers may come as JSON numbers or as text. Every getter raises ``VenueReject`` 10001.
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = values

    def text(self, name: str, *, default: str = "") -> str:
        """Return a field as text of at most 256 printable characters."""
        value = self._values.get(name)
        if value is None or value == "":
            return default
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise bad(f"{name} must be a string")
        if isinstance(value, int) and abs(value) > 10**30:
            raise bad(f"{name} is too large")
        text = str(value)
        if len(text) > _MAX_TEXT or not text.isprintable():
            raise bad(f"{name} is too long or not printable")
        return text

    def required(self, name: str) -> str:
        """Return a field as text; it must be there."""
        text = self.text(name)
        if not text:
            raise bad(f"params error: {name} is required")
        return text

    def category(self, *, default: str | None = None) -> str:
        """Return the category, one of the four that exist; without ``default`` it is required."""
        return self.choice("category", {name: name for name in _CATEGORIES}, default=default)

    def listing(self, *, default: str | None = None) -> str:
        """Return the key of what category and symbol name, whether it is listed or not.

        Another category than linear and spot names nothing that could be listed.
        """
        category, symbol = self.category(default=default), self.required("symbol")
        if category not in LISTED or SPOT_SUFFIX in symbol:
            raise bad(f"Not supported symbols: {category} {symbol}")
        return LISTED[category].key(symbol)

    def choice(
        self, name: str, values: Mapping[str, Choice], *, default: Choice | None = None
    ) -> Choice:
        """Return what ``values`` holds for a field; without ``default`` it must be there."""
        text = self.text(name)
        if not text and default is not None:
            return default
        if text not in values:
            raise bad(f"params error: {name} must be one of {', '.join(values)}")
        return values[text]

    def integer(self, name: str, *, default: int | None = None) -> int | None:
        """Return a field as an integer, ``default`` when absent."""
        text = self.text(name)
        if not text:
            return default
        body = text.removeprefix("-")
        if not (body.isascii() and body.isdigit() and len(body) <= 16):
            raise bad(f"params error: {name} must be an integer")
        value = int(text)
        if abs(value) > _MAX_INTEGER:
            raise bad(f"params error: {name} is out of range")
        return value

    def limit(self, *, default: int, highest: int) -> int:
        """Return the page size: 1 to ``highest``; larger wishes are cut, smaller refused."""
        value = self.integer("limit", default=default)
        if value is None or value < 1:
            raise bad(f"params error: limit must be 1 to {highest}")
        return min(value, highest)

    def flag(self, name: str) -> bool:
        """Return a field as a boolean, false when absent."""
        value = self._values.get(name)
        if value is None or value == "":
            return False
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in _FLAGS:
            return _FLAGS[value.lower()]
        raise bad(f"params error: {name} must be a boolean")

    def amount(self, name: str) -> Decimal | None:
        """Return a field as a finite decimal, None when absent."""
        value = self._values.get(name)
        text = self.text(name)
        if not text:
            return None
        try:
            if isinstance(value, _Number) and ("e" in text or "E" in text):
                return _from_scientific(text)
            return parse_decimal(text)
        except ValidationError as e:
            raise bad(f"params error: {name} is not a number") from e

    def is_set(self, name: str) -> bool:
        """Return whether an optional price field asks for something ("" and "0" do not)."""
        amount = self.amount(name)
        return amount is not None and amount != 0

    def items(self, name: str, *, highest: int) -> list[dict[str, object]]:
        """Return a field as a list of 1 to ``highest`` objects."""
        value = self._values.get(name)
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise bad(f"params error: {name} must be a list of objects")
        if not 1 <= len(value) <= highest:
            raise bad(f"params error: {name} must hold 1 to {highest} items")
        return value


def stop_limit(fields: Fields, prefix: str) -> Decimal | None:
    """Return the limit price of a take profit (``tp``) or stop loss (``sl``), None at market."""
    name = f"{prefix}LimitPrice"
    price = fields.amount(name) if fields.is_set(name) else None
    is_limit = fields.choice(f"{prefix}OrderType", _IS_LIMIT, default=False)
    if is_limit != (price is not None):
        raise bad(f"params error: {name} and {prefix}OrderType Limit need each other")
    return price


def _from_scientific(text: str) -> Decimal:
    number = Decimal(text)
    if not number.is_finite() or abs(number.adjusted()) > _MAX_EXPONENT or len(text) > 40:
        raise ValidationError("number out of range")
    return parse_decimal(plain(number))
