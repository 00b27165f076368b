"""Child processes that announce themselves with one line and never outlive their parent.

The parent keeps the write end of a pipe, the lifeline; the child gets the read end as the file
descriptor named by ``TRADING_LIFELINE_FD``. The kernel closes the write end when the parent dies,
also by SIGKILL, and the child then ends by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, NoReturn, cast

from typing_extensions import override

from trading_system.domain.errors import (
    ConfigurationError,
    DeadlineExceeded,
    TradingSystemError,
)

LIFELINE_VARIABLE: Final = "TRADING_LIFELINE_FD"
_CLEAN_EXIT_CODES: Final = frozenset({0, -signal.SIGTERM, 128 + signal.SIGTERM})
_MAX_LINE_BYTES: Final = 64 * 1024
_KEPT_LINES: Final = 200
_SHOWN_LINES: Final = 5
_LAST_WORDS_S: Final = 0.5


class ChildError(TradingSystemError):
    """A child process did not get ready. Consequence: it is gone; start anew or give up.

    Parameters
    ----------
    message : str
        What happened, in one sentence.
    exit_code : int or None
        Exit code if it ended by itself, negative for a signal.
    stderr_tail : tuple[str, ...]
        The last lines it wrote to standard error.
    """

    def __init__(
        self, message: str, *, exit_code: int | None, stderr_tail: tuple[str, ...]
    ) -> None:
        tail = " | ".join(stderr_tail[-_SHOWN_LINES:])
        super().__init__(f"{message}; stderr: {tail}" if tail else message)
        self.exit_code = exit_code
        self.stderr_tail = stderr_tail


class ChildLateError(ChildError, DeadlineExceeded):
    """A child process was not ready within its deadline. Consequence: it was killed."""


def is_clean_exit(exit_code: int) -> bool:
    """Return whether ``exit_code`` means a proper end: 0, or ended by SIGTERM (-15 or 143)."""
    return exit_code in _CLEAN_EXIT_CODES


def _ignore(stream: str, line: str) -> None:
    del stream, line


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """How to run a child process.

    Parameters
    ----------
    name : str
        Name used in errors.
    command : Sequence[str]
        Program and arguments.
    environ : Mapping[str, str]
        Variables added to the parent's environment.
    ready_deadline_s : float
        Seconds until the ready line must have come.
    stop_deadline_s : float
        Seconds between SIGTERM and SIGKILL.
    on_line : Callable[[str, str], None]
        Called with ``"stdout"`` or ``"stderr"`` and each line after the ready line; must not block.
    """

    name: str
    command: Sequence[str]
    environ: Mapping[str, str] = field(default_factory=dict)
    ready_deadline_s: float = 10.0
    stop_deadline_s: float = 5.0
    on_line: Callable[[str, str], None] = _ignore


class _Lines:
    # Splits a byte stream into lines; a line beyond the bound is cut, so memory stays bounded.

    def __init__(self, receive: Callable[[str], None]) -> None:
        self._receive = receive
        self._rest = bytearray()
        self._is_cutting = False

    def feed(self, data: bytes) -> None:
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._append(line)
            self.finish()
        self._append(rest)

    def finish(self) -> None:
        if self._rest or self._is_cutting:
            self._receive(self._rest.decode(errors="replace").rstrip("\r"))
        self._rest.clear()
        self._is_cutting = False

    def _append(self, data: bytes) -> None:
        room = _MAX_LINE_BYTES - len(self._rest)
        self._rest += data[:room]
        self._is_cutting = self._is_cutting or len(data) > room


class _Protocol(asyncio.SubprocessProtocol):
    # Called by the loop whenever a pipe has data, so that no pipe fills and no task is needed.

    def __init__(self, spec: ChildSpec) -> None:
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[str | None] = loop.create_future()
        self.exited = asyncio.Event()
        self.closed = asyncio.Event()
        self.lines: deque[tuple[str, str]] = deque(maxlen=_KEPT_LINES)
        self._spec = spec
        self._streams = {
            1: _Lines(lambda line: self._on_line("stdout", line)),
            2: _Lines(lambda line: self._on_line("stderr", line)),
        }

    @override
    def pipe_data_received(self, fd: int, data: bytes | str) -> None:
        self._streams[fd].feed(cast("bytes", data))

    @override
    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        del exc
        if fd in self._streams:
            self._streams[fd].finish()
        if fd == 1 and not self.ready.done():
            self.ready.set_result(None)

    @override
    def process_exited(self) -> None:
        self.exited.set()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if not self.ready.done():
            self.ready.set_result(None)
        self.closed.set()

    def _on_line(self, stream: str, line: str) -> None:
        if stream == "stdout" and not self.ready.done():
            self.ready.set_result(line)
            return
        self.lines.append((stream, line))
        self._spec.on_line(stream, line)


class ChildProcess:
    """A running child; made by :func:`launch`."""

    def __init__(
        self, spec: ChildSpec, transport: asyncio.SubprocessTransport, protocol: _Protocol
    ) -> None:
        self._spec = spec
        self._transport = transport
        self._protocol = protocol
        self._ready: dict[str, object] = {}

    @property
    def name(self) -> str:
        """Name given in the spec."""
        return self._spec.name

    @property
    def pid(self) -> int:
        """Process id, also the id of its session and process group."""
        return self._transport.get_pid()

    @property
    def ready(self) -> Mapping[str, object]:
        """The JSON object of the ready line."""
        return self._ready

    @property
    def exit_code(self) -> int | None:
        """Exit code, negative for a signal; None while it runs."""
        return self._transport.get_returncode()

    @property
    def recent_lines(self) -> tuple[tuple[str, str], ...]:
        """The last 200 lines after the ready line, each with the name of its stream."""
        return tuple(self._protocol.lines)

    @property
    def stderr_tail(self) -> tuple[str, ...]:
        """The lines among the recent ones that came from standard error."""
        return tuple(line for stream, line in self._protocol.lines if stream == "stderr")

    async def wait(self) -> int:
        """Wait until the process has ended and return its exit code."""
        await self._protocol.exited.wait()
        exit_code = self.exit_code
        assert exit_code is not None, "an exited process has an exit code"
        return exit_code

    async def stop(self) -> int:
        """End the process: SIGTERM, then SIGKILL to its whole group after the deadline.

        Idempotent. A cancelled caller leaves no process behind: it is killed at once.

        Returns
        -------
        int
            The exit code; see :func:`is_clean_exit`.
        """
        if self.exit_code is None:
            # Not by the transport: asyncio's would reap a process that has just ended by itself
            # and lose its exit code.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
        try:
            async with asyncio.timeout(self._spec.stop_deadline_s):
                await self.wait()
        except TimeoutError:
            self.kill()
        except asyncio.CancelledError:
            # A killed process is gone in a moment. Closing the transport earlier would reap it
            # behind the back of the loop, which then reports a made-up exit code.
            self.kill()
            await self.wait()
            self._transport.close()
            raise
        exit_code = await self.wait()
        with contextlib.suppress(TimeoutError):
            # The last lines may still be on their way; a grandchild may hold the pipe open.
            async with asyncio.timeout(_LAST_WORDS_S):
                await self._protocol.closed.wait()
        self._transport.close()
        return exit_code

    def kill(self) -> None:
        """Send SIGKILL to the process and everything in its process group."""
        if self.exit_code is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    async def get_ready(self) -> None:
        """Wait for the ready line.

        Raises
        ------
        ChildLateError
            If it does not come within the deadline.
        ChildError
            If the process ends first, or its first line is not a JSON object.
        """
        deadline_s = self._spec.ready_deadline_s
        try:
            async with asyncio.timeout(deadline_s):
                line = await self._protocol.ready
                if line is None:
                    await self._protocol.closed.wait()
        except TimeoutError as e:
            raise ChildLateError(
                f"{self.name} was not ready within {deadline_s:g} s",
                exit_code=None,
                stderr_tail=self.stderr_tail,
            ) from e
        if line is None:
            self._fail(f"{self.name} ended with exit code {self.exit_code} before it was ready")
        self._ready = self._parse(line)

    def _parse(self, line: str) -> dict[str, object]:
        try:
            ready: object = json.loads(line)
        except (ValueError, RecursionError):
            ready = None
        if not isinstance(ready, dict):
            self._fail(f"{self.name} wrote {line[:200]!r} where one JSON object was expected")
        return ready

    def _fail(self, message: str) -> NoReturn:
        raise ChildError(message, exit_code=self.exit_code, stderr_tail=self.stderr_tail)


@asynccontextmanager
async def launch(spec: ChildSpec) -> AsyncIterator[ChildProcess]:
    """Run a child process in a session of its own, from its ready line to its end.

    Leaving the context stops it. Its output is drained all the time and the last lines are kept.

    Raises
    ------
    ChildError
        If it cannot be started or does not get ready; nothing is left running.
    """
    read_fd, write_fd = os.pipe()
    try:
        child = await _spawn(spec, read_fd)
        try:
            await child.get_ready()
            yield child
        finally:
            await child.stop()
    finally:
        os.close(write_fd)


async def _spawn(spec: ChildSpec, lifeline_fd: int) -> ChildProcess:
    loop = asyncio.get_running_loop()
    try:
        transport, protocol = await loop.subprocess_exec(
            lambda: _Protocol(spec),
            *spec.command,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **spec.environ, LIFELINE_VARIABLE: str(lifeline_fd)},
            pass_fds=(lifeline_fd,),
            start_new_session=True,
        )
    except OSError as e:
        message = f"{spec.name} could not be started: {e}"
        raise ChildError(message, exit_code=None, stderr_tail=()) from e
    finally:
        os.close(lifeline_fd)
    return ChildProcess(spec, transport, protocol)


async def watch_lifeline(environ: Mapping[str, str] | None = None) -> None:
    """Return when the parent process has died or has let go; for use in the child.

    Without ``TRADING_LIFELINE_FD`` in ``environ`` the process is nobody's child and this waits
    until it is cancelled.

    Raises
    ------
    ConfigurationError
        If the variable does not name an open pipe.
    """
    text = (os.environ if environ is None else environ).get(LIFELINE_VARIABLE)
    loop = asyncio.get_running_loop()
    if text is None:
        await loop.create_future()
        return
    try:
        pipe = os.fdopen(int(text), "rb", buffering=0)
    except (ValueError, OSError) as e:
        message = f"{LIFELINE_VARIABLE} must be the number of an open pipe, was {text!r}; unset it"
        raise ConfigurationError(message) from e
    transport, protocol = await loop.connect_read_pipe(_Lifeline, pipe)
    try:
        await protocol.closed.wait()
    finally:
        transport.close()


class _Lifeline(asyncio.Protocol):
    # Nobody writes to a lifeline; its end is the message.

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    @override
    def eof_received(self) -> None:
        self.closed.set()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.closed.set()
