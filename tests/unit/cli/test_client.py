"""The client of the control API against servers that misbehave."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from trading_system.api.address import ApiAddress, write_address
from trading_system.cli.client import call, public_login
from trading_system.domain.errors import TradingSystemError


@contextmanager
def answering(folder: Path, answer: bytes | None) -> Iterator[None]:
    """Accept one connection and send ``answer``; None keeps silent until the client leaves."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                if answer is not None:
                    connection.sendall(answer)
                else:
                    connection.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        port = listener.getsockname()[1]
        write_address(folder, ApiAddress(f"http://127.0.0.1:{port}", "t"))
        yield
        thread.join(timeout=5)


def reply(status: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (reply("200 OK", b"<html>"), "without a JSON object"),
        (reply("200 OK", b"[]"), "without a JSON object"),
        (reply("500 Internal Server Error", b"oops"), "answered 500"),
        (reply("409 Conflict", b'{"error": "denied"}'), "denied"),
        (b"nonsense\r\n\r\n", "may be in force"),
        (b"", "may be in force"),
        (None, "may be in force"),
    ],
)
def test_an_answer_that_is_none_is_an_error_with_words(
    tmp_path: Path, answer: bytes | None, says: str
) -> None:
    with (
        answering(tmp_path, answer),
        pytest.raises(TradingSystemError, match=says),
    ):
        call(tmp_path, "POST", "/pause", {"reason": "x"}, timeout_s=0.3)


def test_a_question_that_is_not_answered_changed_nothing(tmp_path: Path) -> None:
    with answering(tmp_path, None), pytest.raises(TradingSystemError) as e:
        call(tmp_path, "GET", "/status", timeout_s=0.3)
    assert "in force" not in str(e.value)


@pytest.mark.parametrize(
    ("public_host", "login"),
    [
        ("", "http://127.0.0.1:8601/login?code=x"),
        ("desk.example.org", "https://desk.example.org/login?code=x"),
        ("desk.example.org:8443", "https://desk.example.org:8443/login?code=x"),
    ],
)
def test_a_login_link_names_the_proxy_people_come_through(public_host: str, login: str) -> None:
    assert public_login("http://127.0.0.1:8601/login?code=x", public_host) == login
