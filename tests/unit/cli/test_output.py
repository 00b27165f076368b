"""Logs and results as people and machines read them, each in a process of its own."""

import json
import subprocess
import sys

import pytest

CODE = """
import structlog
from trading_system.cli import output
output.configure_logs("warning", form={form!r})
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
