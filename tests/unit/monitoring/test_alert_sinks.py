"""Apprise addresses become sinks; wrong ones are refused without showing them."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

import pytest
from alert_receivers import receiver
from structlog.testing import capture_logs

from trading_system.config.operations import AlertSettings
from trading_system.domain.errors import AlertDeliveryError, ConfigurationError
from trading_system.monitoring.alerts.sinks import AppriseSink, LogSink, sinks_of
from trading_system.monitoring.redaction import REDACTOR


def test_no_address_means_no_sink_and_no_import_of_apprise():
    code = (
        "import sys; from trading_system.config.operations import AlertSettings;"
        "from trading_system.monitoring.alerts.sinks import sinks_of;"
        "assert sinks_of(AlertSettings()) == []; assert 'apprise' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


@pytest.mark.parametrize("wrong", ["nonsense://canary-1", "tgram://canary-2", "canary-3"])
def test_a_wrong_address_is_refused_without_showing_it(wrong, caplog):
    with pytest.raises(ConfigurationError, match=r"TRADING_ALERTS__URLS.*number 2") as caught:
        sinks_of(AlertSettings(urls=f"json://127.0.0.1/ {wrong}"))
    assert "canary" not in str(caught.value) + caplog.text
    assert caught.value.__cause__ is None


def test_an_address_is_named_by_its_scheme_and_becomes_a_secret():
    [sink] = sinks_of(AlertSettings(urls="mailto://alice:hunter-two@example.org"))
    assert sink.name == "mailto"
    assert REDACTOR("the word hunter-two") == "the word ***"


def test_a_message_arrives_at_a_real_receiver():
    with receiver() as state:
        [sink] = sinks_of(AlertSettings(urls=f"json://127.0.0.1:{state.port}/path"))
        sink.send("the title", "the text")
    body = json.loads(state.bodies[0])
    assert (body["title"], body["message"]) == ("the title", "the text")


def test_a_refusal_is_an_error_that_names_the_scheme_only(caplog):
    caplog.set_level(logging.INFO)
    with receiver() as state:
        state.status = 500
        [sink] = sinks_of(AlertSettings(urls=f"json://127.0.0.1:{state.port}/canary-path"))
        with pytest.raises(AlertDeliveryError) as caught:
            sink.send("title", "text")
    assert str(caught.value) == "json: the service did not take the message"
    assert caplog.text == ""


def test_a_service_that_raises_is_told_by_its_kind_only():
    class Broken:
        def notify(self, *, title, body):
            raise ValueError("canary")

    with pytest.raises(AlertDeliveryError, match=r"^odd: ValueError$"):
        AppriseSink("odd", Broken()).send("title", "text")


def test_the_log_gets_a_warning():
    with capture_logs() as lines:
        LogSink().send("the title", "the text")
    assert LogSink().name == "log"
    assert lines == [
        {"event": "alert", "title": "the title", "text": "the text", "log_level": "warning"}
    ]
