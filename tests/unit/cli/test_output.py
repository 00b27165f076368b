"""Logs and results as people and machines read them, each in a process of its own."""

import json
import subprocess
import sys

import pytest

CODE = """
import structlog
from trading_system.cli import output
from trading_system.monitoring import logs
logs.configure("warning", form={form!r})
log = structlog.get_logger()
log.info("too quiet")
try:
    secret = "s3cret"
    raise ValueError("boom")
except ValueError:
    log.error("broken", exc_info=True)
output.emit_json({{"a": 1}})
"""


@pytest.mark.parametrize("form", ["console", "json"])
def test_logs_go_to_standard_error_without_local_variables(form: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(form=form)],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert json.loads(done.stdout) == {"a": 1}
    assert "broken" in done.stderr
    assert "too quiet" not in done.stderr
    assert "ValueError: boom" in done.stderr
    assert "s3cret" not in done.stderr


SECRETS = """
import logging, sys, structlog
from trading_system.cli import output
from trading_system.monitoring import logs
from trading_system.monitoring.log_ring import LOG
from trading_system.monitoring.redaction import REDACTOR
REDACTOR.add("s3cret-canary")
logs.configure("info", form={form!r})
logs.configure("info", form={form!r})
log = structlog.get_logger()
log.info("structured", headers={{"Authorization": "Bearer canary-2"}}, key="s3cret-canary")
logging.getLogger("aiohttp").warning("standard s3cret-canary")
try:
    raise ValueError("s3cret-canary")
except ValueError:
    log.error("caught", exc_info=True)
    logging.getLogger("x").exception("logged")
output.emit_json({{"lines": LOG.lines()["lines"]}})
raise RuntimeError("s3cret-canary")
"""


@pytest.mark.parametrize("form", ["console", "json"])
def test_no_secret_leaves_by_any_log_line_or_traceback(form: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SECRETS.format(form=form)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    events = [line["event"] for line in json.loads(done.stdout)["lines"]]
    assert events == ["structured", "standard ***", "caught", "logged"]
    assert "RuntimeError: ***" in done.stderr
    assert done.stderr.count("ValueError: ***") == 2
    # Python itself quotes the source of the program that was given as text.
    said = done.stderr.replace('raise ValueError("s3cret-canary")', "")
    assert "canary" not in said + done.stdout
