"""No secret comes out, wherever it stands."""

from __future__ import annotations

import base64
import html
import json
import logging
import sys
import threading
import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from trading_system.monitoring import redaction
from trading_system.monitoring.redaction import MASK, RedactingFormatter, Redactor

CANARY = 'can"ary\\ sécret/+7'


def knowing(*secrets):
    redact = Redactor()
    for secret in secrets:
        redact.add(secret)
    return redact


@pytest.mark.parametrize(
    "spell",
    [
        str,
        json.dumps,
        repr,
        ascii,
        lambda text: json.dumps({"outer": json.dumps({"inner": text})}),
        lambda text: repr({"a": [text]}),
        lambda text: repr(RuntimeError(repr(KeyError(text)))),
        lambda text: json.dumps({"error": repr(RuntimeError(repr(KeyError(text))))}),
        quote,
        lambda text: quote(text, safe=""),
        html.escape,
        lambda text: base64.b64encode(text.encode()).decode(),
        lambda text: f"prefix{text}suffix",
    ],
)
def test_a_known_secret_is_found_however_it_is_spelt(spell):
    redact = knowing(CANARY)
    assert redact.is_told_by(spell(CANARY))
    cleaned = redact(spell(CANARY))
    assert MASK in cleaned
    assert "ary" not in cleaned
    assert not redact.is_told_by(cleaned)


def test_what_only_resembles_a_secret_is_not_told_of():
    assert not Redactor().is_told_by(CANARY)
    assert not knowing(CANARY).is_told_by(CANARY.upper())
    assert not knowing(CANARY).is_told_by("cret can ary")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Authorization: Bearer CANARY-1", "Authorization: ***"),
        ("{'Authorization': 'Bearer CANARY-1', 'a': 1}", "{'Authorization': '***', 'a': 1}"),
        (r'"{\"authorization\": \"Basic CANARY-1\"}"', r'"{\"authorization\": \"***\"}"'),
        ("(b'authorization', b'Bearer CANARY-1')", "(b'authorization', b'***')"),
        ("sent Bearer CANARY-1 there", "sent Bearer *** there"),
        ("X-BAPI-API-KEY: CANARY-1", "X-BAPI-API-KEY: ***"),
        ("{'X-BAPI-SIGN': 'CANARY1'}", "{'X-BAPI-SIGN': '***'}"),
        ("TRADING_BYBIT__API_SECRET=CANARY-1", "TRADING_BYBIT__API_SECRET=***"),
        ("https://x.org/a?b=1&token=CANARY", "https://x.org/a?b=1&token=***"),
        ("https://user:CANARY@x.org/a", "https://***@x.org/a"),
        ("tgram://123:CANARY/456", "tgram://***"),
        ("https://hooks.slack.com/services/CANARY", "https://hooks.slack.com/***"),
        ("-----BEGIN EC PRIVATE KEY-----\nCANARY\n-----END EC PRIVATE KEY----- b", "*** b"),
        ("-----BEGIN PRIVATE KEY-----\\nCANARY", "***"),
    ],
)
def test_what_looks_like_a_secret_goes_and_the_rest_stays(text, kept):
    assert Redactor()(text) == kept


@pytest.mark.parametrize(
    "text",
    [
        "https://api.bybit.com/v5/order/create?symbol=BTCUSDT&limit=1",
        "wss://stream.bybit.com/v5/public/linear is down",
        "renew TRADING_BYBIT__API_KEY and TRADING_BYBIT__API_SECRET, then start",
        "bearer of bad news",
    ],
)
def test_innocent_lines_stay_as_they_are(text):
    assert knowing(CANARY)(text) == text


LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8))


@given(
    st.text(alphabet=st.characters(exclude_categories=("Cs",)), min_size=4, max_size=30),
    st.text(max_size=20),
    st.text(max_size=20),
)
def test_a_canary_never_comes_out_in_any_position_and_twice_is_once(secret, before, after):
    redact = knowing("CANARY" + secret)
    cleaned = redact(before + "CANARY" + secret + after)
    assert "CANARY" + secret.strip() not in cleaned
    assert redact(cleaned) == cleaned


@given(
    st.recursive(
        st.one_of(LEAVES, st.just("a CANARY-77 b"), st.just(b"CANARY-77")),
        lambda inner: st.one_of(
            st.lists(inner, max_size=4),
            st.tuples(inner, inner),
            st.dictionaries(st.sampled_from(["a", "CANARY-77", "token"]), inner, max_size=3),
        ),
        max_leaves=12,
    )
)
def test_no_nesting_hides_a_canary_and_the_result_is_json(value):
    text = json.dumps(knowing("CANARY-77").clean(value), allow_nan=False)
    assert "CANARY" not in text


@given(st.text(max_size=200))
def test_redacting_twice_changes_nothing_more(text):
    redact = knowing("ab:c", "***x", "0000")
    once = redact("Authorization: " + text)
    assert redact(once) == once


def test_short_texts_and_masks_are_no_secrets():
    assert knowing("abc", "  ", "*****")("abc ***** d") == "abc ***** d"


def test_numbers_and_objects_that_show_a_secret_are_masked():
    class Broken:
        def __str__(self):
            raise RuntimeError

    redact = knowing("123456789")
    cleaned = redact.clean({"n": 123456789, "ok": 1, "x": Broken(), "password": "pw", "s": {1}})
    assert cleaned == {"n": "***", "ok": 1, "x": "<Broken>", "password": "***", "s": [1]}


def test_settings_teach_their_secrets_and_the_parts_of_addresses():
    class Inner(BaseModel):
        urls: tuple[SecretStr, ...] = (
            SecretStr("mailto://john.smith:hunter22@example.org/path-token?x=query-token"),
            SecretStr("http://["),
        )
        key: SecretStr = SecretStr("key-4711")
        more: dict[str, SecretStr] = {"a": SecretStr("mapped-1")}

    class Outer(BaseModel):
        inner: Inner = Inner()
        plain: str = "visible"

    redact = Redactor()
    redact.learn(Outer())
    cleaned = redact("key-4711 hunter22 path-token query-token mapped-1 visible example.org")
    assert cleaned == "*** *** *** *** *** visible example.org"


def test_a_log_line_and_its_traceback_come_out_clean():
    formatter = RedactingFormatter(logging.Formatter("%(message)s"))
    try:
        raise ValueError("Authorization: Bearer CANARY-1")
    except ValueError:
        record = logging.LogRecord("a", 40, "f", 1, "x-bapi-sign=%s", ("CANARY-2",), sys.exc_info())
    text = formatter.format(record)
    assert "ValueError" in text
    assert "CANARY" not in text


def test_redacting_is_fast_and_not_slowed_by_hostile_texts():
    redact = knowing(*(f"secret-number-{number}" for number in range(20)))
    begun = time.perf_counter()
    for text in ("a." * 50_000, "authorization" * 5000, "-----BEGIN " * 5000, "a://" * 20_000):
        redact(text)
    assert time.perf_counter() - begun < 3.0


@pytest.fixture
def hooks():
    kept = sys.excepthook, threading.excepthook
    root = logging.getLogger()
    formatters = [(handler, handler.formatter) for handler in root.handlers]
    yield
    sys.excepthook, threading.excepthook = kept
    for handler, formatter in formatters:
        handler.setFormatter(formatter)


def test_installed_hooks_tell_what_nobody_caught_without_secrets(hooks, capsys):
    handler = logging.NullHandler()
    logging.getLogger().addHandler(handler)
    try:
        redaction.install()
        redaction.install()
    finally:
        logging.getLogger().removeHandler(handler)
    assert isinstance(handler.formatter, RedactingFormatter)
    error = ValueError("Authorization: Bearer CANARY-1")
    sys.excepthook(ValueError, error, None)
    threading.excepthook(threading.ExceptHookArgs((ValueError, error, None, None)))
    threading.excepthook(threading.ExceptHookArgs((SystemExit, SystemExit(), None, None)))
    written = capsys.readouterr().err
    assert written.count("ValueError: Authorization: ***") == 2
    assert "CANARY" not in written
