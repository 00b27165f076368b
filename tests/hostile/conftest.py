"""The embedded venue as a child process, and raw sockets that speak to it as badly as asked."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
READY_S = 30.0
TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9


def venue_command(*options):
    return [sys.executable, "-m", "trading_system", "venue", *options]


class VenueChild:
    """One running venue; ended by its process id."""

    def __init__(self, errors, *options):
        self._errors = errors
        with errors.open("wb") as log:
            self.process = subprocess.Popen(
                venue_command("--port", "0", *options),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        assert select.select([self.process.stdout], [], [], READY_S)[0], "no ready line"
        self.ready = json.loads(self.process.stdout.readline() or b"null")
        assert self.ready, self.errors()
        host, _, port = self.ready["rest"].removeprefix("http://").partition(":")
        self.address = (host, int(port))

    def errors(self):
        return self._errors.read_text(errors="replace")

    def rss_bytes(self):
        fields = Path(f"/proc/{self.process.pid}/statm").read_text().split()
        return int(fields[1]) * PAGE_BYTES

    def open_files(self):
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def connect(self, *, receive_buffer=None, timeout=5.0):
        link = socket.socket()
        link.settimeout(timeout)
        if receive_buffer is not None:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        link.connect(self.address)
        return link

    def send_raw(self, data, *, half=False):
        """Send bytes on a fresh connection; return what comes back before the peer is done.

        With ``half`` the connection is dropped at once instead.
        """
        with self.connect() as link:
            try:
                link.sendall(data)
                if half:
                    return b""
                link.shutdown(socket.SHUT_WR)
                return read_all(link)
            except (ConnectionError, TimeoutError):
                return b""

    def send(self, method, path, body=b"", headers=()):
        """Send one well-framed request; return (status, decoded body or None)."""
        lines = [f"{method} {path} HTTP/1.1", "Host: venue", "Connection: close", *headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        head = "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n"
        with self.connect(timeout=10.0) as link:
            with contextlib.suppress(ConnectionError):
                link.sendall(head + body)
            return parse_answer(read_all(link))

    def signed(self, method, path, payload=b""):
        """Send a request that is correctly signed over exactly ``payload``."""
        stamp = self.now_ms()
        text = f"{stamp}{self.ready['api_key']}5000".encode() + payload
        sign = hmac.new(self.ready["api_secret"].encode(), text, hashlib.sha256).hexdigest()
        headers = (
            f"X-BAPI-API-KEY: {self.ready['api_key']}",
            f"X-BAPI-TIMESTAMP: {stamp}",
            "X-BAPI-RECV-WINDOW: 5000",
            f"X-BAPI-SIGN: {sign}",
        )
        if method == "GET":
            target = path + ("?" + payload.decode("ascii") if payload else "")
            return self.send(method, target, headers=headers)
        return self.send(method, path, payload, headers)

    def now_ms(self):
        status, answer = self.send("GET", "/v5/market/time")
        assert status == 200
        return answer["time"]

    def websocket(self, path, **options):
        return RawWebSocket(self.connect(**options), path)

    def login_frame(self, expires_ms):
        text = f"GET/realtime{expires_ms}".encode()
        sign = hmac.new(self.ready["api_secret"].encode(), text, hashlib.sha256).hexdigest()
        return json.dumps({"op": "auth", "args": [self.ready["api_key"], expires_ms, sign]})

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=15)
        finally:
            self.close()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


class RawWebSocket:
    """A WebSocket client without manners: any frame, masked or not, whole or not."""

    def __init__(self, link, path):
        self.link = link
        key = base64.b64encode(os.urandom(16)).decode()
        link.sendall(
            f"GET {path} HTTP/1.1\r\nHost: venue\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        head = b""
        while b"\r\n\r\n" not in head:
            chunk = link.recv(1)
            assert chunk, head
            head += chunk
        assert head.startswith(b"HTTP/1.1 101 "), head

    def send_frame(self, payload, opcode=TEXT, *, masked=True, final=True, size=None):
        """Send one frame; ``size`` announces another length than is sent."""
        if isinstance(payload, str):
            payload = payload.encode("utf-8", "surrogatepass")
        length = len(payload) if size is None else size
        head = bytearray([(0x80 if final else 0) | opcode])
        mask_bit = 0x80 if masked else 0
        if length < 126:
            head.append(mask_bit | length)
        elif length < 1 << 16:
            head += bytes([mask_bit | 126]) + struct.pack("!H", length)
        else:
            head += bytes([mask_bit | 127]) + struct.pack("!Q", length)
        # A mask of zeros leaves the payload as it is.
        self.link.sendall(bytes(head) + (bytes(4) if masked else b"") + payload)

    def read(self, *, deadline_s):
        """Return what arrives until the peer closes or nothing comes for ``deadline_s``."""
        self.link.settimeout(deadline_s)
        return read_all(self.link, limit=1 << 16)

    def close(self):
        self.link.close()


def read_all(link, limit=1 << 24):
    data = bytearray()
    try:
        while len(data) < limit:
            chunk = link.recv(1 << 16)
            if not chunk:
                break
            data += chunk
    except (ConnectionError, TimeoutError):
        pass
    return bytes(data)


def parse_answer(data):
    head, _, body = data.partition(b"\r\n\r\n")
    status = int(head[9:12]) if head.startswith(b"HTTP/1.1 ") else 0
    try:
        return status, json.loads(body)
    except ValueError:
        return status, None


@pytest.fixture
def start_venue(tmp_path):
    """Return a function that starts a venue; everything started is ended with the test."""
    started = []

    def start(*options):
        started.append(VenueChild(tmp_path / f"venue-{len(started)}.log", *options))
        return started[-1]

    yield start
    for venue in started:
        venue.close()


@pytest.fixture
def run_venue():
    """Return a function that runs a venue that must not start: (exit code, stdout, stderr)."""

    def run(*options):
        done = subprocess.run(
            venue_command(*options),
            check=False,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=30,
        )
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture
def wait_until():
    """Return a function that waits for a condition, and fails when it does not come true."""

    def wait(condition, *, deadline_s, what):
        deadline = time.monotonic() + deadline_s
        while not condition():
            assert time.monotonic() < deadline, f"not within {deadline_s:.0f} s: {what}"
            select.select([], [], [], 0.05)

    return wait
