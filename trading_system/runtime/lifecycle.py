"""Supervision: ordered start with rollback, owned tasks, ordered stop, states as data.

One task, the supervisor, enters the components in order, owns every task that is spawned, and
leaves the components in reverse order. It is the only task of the process that is created outside
a task group, so that a failing part stops the system in order instead of cancelling a caller.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Final, Self

import structlog

from trading_system.domain.errors import DeadlineExceeded, LifecycleError

_LOG = structlog.get_logger(__name__)
_GRACE_S = 1.0
_CANCEL_ATTEMPTS = 3

Spawn = Callable[[str, Coroutine[object, object, None]], object]
"""Starts a supervised task from a name and a coroutine."""


class State(Enum):
    """Where a supervised system is in its life."""

    NEW = "new"
    STARTING = "starting"
    RUNNING = "running"
    DEGRADED = "degraded"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


class Trigger(Enum):
    """What moves a supervised system to another state."""

    START = "start"
    STARTED = "started"
    DEGRADE = "degrade"
    RECOVER = "recover"
    STOP = "stop"
    STOPPED = "stopped"
    FAIL = "fail"


TRANSITIONS: Final[dict[tuple[State, Trigger], State]] = {
    (State.NEW, Trigger.START): State.STARTING,
    (State.NEW, Trigger.STOP): State.STOPPED,
    (State.STARTING, Trigger.STARTED): State.RUNNING,
    (State.STARTING, Trigger.STOP): State.STOPPING,
    (State.STARTING, Trigger.FAIL): State.FAILED,
    (State.RUNNING, Trigger.DEGRADE): State.DEGRADED,
    (State.RUNNING, Trigger.RECOVER): State.RUNNING,
    (State.RUNNING, Trigger.STOP): State.STOPPING,
    (State.RUNNING, Trigger.FAIL): State.FAILED,
    (State.DEGRADED, Trigger.DEGRADE): State.DEGRADED,
    (State.DEGRADED, Trigger.RECOVER): State.RUNNING,
    (State.DEGRADED, Trigger.STOP): State.STOPPING,
    (State.DEGRADED, Trigger.FAIL): State.FAILED,
    (State.STOPPING, Trigger.STOP): State.STOPPING,
    (State.STOPPING, Trigger.STOPPED): State.STOPPED,
    (State.STOPPING, Trigger.FAIL): State.FAILED,
    (State.STOPPED, Trigger.STOP): State.STOPPED,
    (State.FAILED, Trigger.STOP): State.FAILED,
    (State.FAILED, Trigger.STOPPED): State.FAILED,
    (State.FAILED, Trigger.FAIL): State.FAILED,
}
"""The whole life cycle. FAILED is entered at once; the ordered stop then runs in that state."""


def next_state(state: State, trigger: Trigger) -> State:
    """Return the state that ``trigger`` leads to.

    Raises
    ------
    LifecycleError
        If the trigger is illegal in ``state``; the message names both.
    """
    following = TRANSITIONS.get((state, trigger))
    if following is None:
        raise LifecycleError(f"trigger {trigger.name} is illegal in state {state.name}")
    return following


async def _nothing() -> None:
    return


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A part that is started and stopped by the supervisor.

    Parameters
    ----------
    name : str
        Name used in errors and logs.
    start, stop : Callable[[], Awaitable[object]]
        Called in the supervisor task. ``stop`` is called only if ``start`` succeeded.
    start_deadline_s, stop_deadline_s : float
        Seconds after which the call is cancelled and recorded as an overrun.
    """

    name: str
    start: Callable[[], Awaitable[object]]
    stop: Callable[[], Awaitable[object]] = _nothing
    start_deadline_s: float = 10.0
    stop_deadline_s: float = 5.0

    @classmethod
    def of(
        cls,
        name: str,
        manager: AbstractAsyncContextManager[object],
        *,
        start_deadline_s: float = 10.0,
        stop_deadline_s: float = 5.0,
    ) -> Self:
        """Return a component that enters and leaves an async context manager."""

        async def leave() -> None:
            await manager.__aexit__(None, None, None)

        return cls(
            name=name,
            start=manager.__aenter__,
            stop=leave,
            start_deadline_s=start_deadline_s,
            stop_deadline_s=stop_deadline_s,
        )


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that went wrong beside the first error: an overrun or a failing stop."""

    source: str
    error: BaseException


class Supervisor:
    """Run components and tasks as one unit.

    Parameters
    ----------
    components : Iterable[Component]
        Entered in this order by :meth:`start`, left in reverse order by :meth:`stop`.
    name : str
        Name of the supervisor task.
    task_deadline_s : float
        Seconds that spawned tasks get to end after they were cancelled.
    """

    def __init__(
        self,
        components: Iterable[Component] = (),
        *,
        name: str = "supervisor",
        task_deadline_s: float = 5.0,
    ) -> None:
        self._components = list(components)
        self._name = name
        self._task_deadline_s = task_deadline_s
        self._state = State.NEW
        self._reason: str | None = None
        self._error: BaseException | None = None
        self._problems: list[Problem] = []
        self._degraded_reason: str | None = None
        self._ready = asyncio.Event()
        self._leave = asyncio.Event()
        self._ended = asyncio.Event()
        self._group: asyncio.TaskGroup | None = None
        self._owned: set[asyncio.Task[None]] = set()
        self._entering: asyncio.Timeout | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def state(self) -> State:
        """The present state."""
        return self._state

    @property
    def reason(self) -> str | None:
        """Why the system stops or has stopped: the first reason given."""
        return self._reason

    @property
    def degraded_reason(self) -> str | None:
        """Why the system is degraded, else None."""
        return self._degraded_reason if self._state is State.DEGRADED else None

    @property
    def error(self) -> BaseException | None:
        """The first error, which made the system fail."""
        return self._error

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Overruns and errors during the stop, and errors after the first one."""
        return tuple(self._problems)

    @property
    def is_ended(self) -> bool:
        """Whether everything has been left and no task remains."""
        return self._ended.is_set()

    def add(self, component: Component) -> None:
        """Append ``component``; only legal before the start."""
        if self._state is not State.NEW:
            raise LifecycleError(f"cannot add {component.name!r} in state {self._state.name}")
        self._components.append(component)

    async def start(self) -> None:
        """Enter all components; return when the system is running.

        Raises
        ------
        LifecycleError
            If it was started before, or was stopped while starting.
        Exception
            What the first failing component raised (`DeadlineExceeded` for an overrun), after
            the components entered before it were left in reverse order.
        """
        self._fire(Trigger.START)
        self._task = asyncio.create_task(  # noqa: TID251 - the single task without a parent
            self._supervise(), name=self._name
        )
        try:
            await self._ready.wait()
        except asyncio.CancelledError:
            self.request_stop("the start was cancelled")
            await self._join()
            raise
        if self._ended.is_set() or self._state not in {State.RUNNING, State.DEGRADED}:
            await self._join()
            if self._error is not None:
                raise self._error
            raise LifecycleError(f"stopped while starting: {self._reason}")

    def request_stop(self, reason: str) -> None:
        """Ask for the ordered stop and return at once; safe in a signal handler of the loop."""
        was_new = self._state is State.NEW
        self._fire(Trigger.STOP)
        if self._reason is None:
            self._reason = reason
        if was_new:
            self._ready.set()
            self._ended.set()
        self._begin_leaving()

    async def stop(self, reason: str) -> None:
        """Stop in order and wait for the end; idempotent, the first reason is kept.

        Any number of callers may wait. Errors are not raised here: see :meth:`wait`, ``error`` and
        ``problems``. A cancelled caller does not interrupt the stop.
        """
        self._refuse_own_task()
        self.request_stop(reason)
        await self._join()

    async def wait(self) -> None:
        """Wait until the system has ended.

        Raises
        ------
        BaseException
            The error of the task or component that made the system fail.
        """
        self._refuse_own_task()
        await self._join()
        if self._error is not None:
            raise self._error

    def degrade(self, reason: str) -> None:
        """Note that the system runs, but not fully."""
        self._fire(Trigger.DEGRADE)
        self._degraded_reason = reason

    def recover(self) -> None:
        """Note that the system runs fully again."""
        self._fire(Trigger.RECOVER)

    def fail(self, source: str, error: BaseException) -> None:
        """Record the failure of ``source`` and begin the ordered stop."""
        # A start that fails raises to its caller, who reports it.
        log = _LOG.info if self._state is State.STARTING else _LOG.error
        self._fire(Trigger.FAIL)
        log("failure", source=source, error=repr(error))
        if self._error is None:
            self._error = error
            self._reason = self._reason or f"{source} failed: {error!r}"
        else:
            self._problems.append(Problem(source, error))
        self._begin_leaving()

    def spawn(self, name: str, coroutine: Coroutine[object, object, object]) -> asyncio.Task[None]:
        """Run ``coroutine`` as a task that lives no longer than the system.

        It is cancelled first when the system stops; if it raises, the system fails and stops.

        Raises
        ------
        LifecycleError
            If the system is not starting or running; the coroutine is closed.
        """
        if self._group is None or self._leave.is_set():
            coroutine.close()
            raise LifecycleError(f"cannot spawn {name!r} in state {self._state.name}")
        task = self._group.create_task(self._own(name, coroutine), name=name)
        self._owned.add(task)
        task.add_done_callback(self._owned.discard)
        return task

    def _fire(self, trigger: Trigger) -> None:
        before = self._state
        self._state = next_state(before, trigger)
        if self._state is not before:
            _LOG.info("state", before=before.name, trigger=trigger.name, after=self._state.name)

    def _begin_leaving(self) -> None:
        self._leave.set()
        if self._entering is not None and not self._entering.expired():
            self._entering.reschedule(asyncio.get_running_loop().time())

    def _refuse_own_task(self) -> None:
        if self._task is not None and asyncio.current_task() is self._task:
            raise LifecycleError("a component cannot wait for the end of its own supervisor")

    async def _join(self) -> None:
        await self._ended.wait()
        if self._task is not None and not self._task.done():
            # The last step of the supervisor, so that no task is left when a caller goes on.
            await asyncio.wait([self._task])

    async def _own(self, name: str, coroutine: Coroutine[object, object, object]) -> None:
        try:
            await coroutine
        except asyncio.CancelledError as e:
            task = asyncio.current_task()
            if task is not None and task.cancelling() == 0:
                self.fail(f"task {name}", LifecycleError(f"task {name!r} was lost: {e!r}"))
            raise
        except Exception as e:  # the supervisor is the boundary of owned tasks
            self.fail(f"task {name}", e)

    async def _supervise(self) -> None:
        try:
            async with asyncio.TaskGroup() as group, AsyncExitStack() as stack:
                self._group = group
                stack.push_async_callback(self._cancel_owned, _CANCEL_ATTEMPTS)
                await self._live(stack)
        finally:
            self._group = None
            self._fire(Trigger.STOPPED)
            self._ready.set()
            self._ended.set()

    async def _live(self, stack: AsyncExitStack) -> None:
        try:
            await self._enter_all(stack)
            await self._leave.wait()
        except asyncio.CancelledError:
            # Only the shutdown of the loop does this; the parts are still left in order.
            self.request_stop("the supervisor was cancelled")
            raise
        finally:
            await self._cancel_owned(1)

    async def _enter_all(self, stack: AsyncExitStack) -> None:
        for component in self._components:
            if self._leave.is_set():
                return
            try:
                await self._enter(component, stack)
            except Exception as e:  # the supervisor is the boundary of components
                if not self._is_interruption(e):
                    self.fail(component.name, e)
                return
        if not self._leave.is_set():
            self._fire(Trigger.STARTED)
            self._ready.set()

    def _is_interruption(self, error: Exception) -> bool:
        return isinstance(error, DeadlineExceeded) and self._leave.is_set()

    async def _enter(self, component: Component, stack: AsyncExitStack) -> None:
        deadline_s = component.start_deadline_s
        async with _limit(f"{component.name} did not start", deadline_s) as scope:
            self._entering = scope
            try:
                await component.start()
                stack.push_async_callback(self._exit, component)
            finally:
                self._entering = None

    async def _exit(self, component: Component) -> None:
        deadline_s = component.stop_deadline_s
        try:
            async with _limit(f"{component.name} did not stop", deadline_s):
                await component.stop()
        except Exception as e:  # the rest must still stop
            _LOG.error("stop failed", component=component.name, error=repr(e))
            self._problems.append(Problem(component.name, e))

    async def _cancel_owned(self, attempts: int) -> None:
        for _ in range(attempts):
            if not self._owned:
                return
            for task in self._owned:
                task.cancel()
            _, late = await asyncio.wait(set(self._owned), timeout=self._task_deadline_s)
            for task in late:
                error = DeadlineExceeded(
                    f"task {task.get_name()!r} did not end within {self._task_deadline_s:g} s"
                )
                self._problems.append(Problem(f"task {task.get_name()}", error))


@asynccontextmanager
async def _limit(what: str, deadline_s: float) -> AsyncIterator[asyncio.Timeout]:
    # The outer limit cancels again when a clean-up that follows the first cancellation hangs.
    inner = asyncio.timeout(deadline_s)
    try:
        async with asyncio.timeout(deadline_s + _GRACE_S), inner:
            yield inner
    except TimeoutError as e:
        if isinstance(e, DeadlineExceeded) or not inner.expired():
            raise
        raise DeadlineExceeded(f"{what} within {deadline_s:g} s") from e
    if inner.expired():
        raise DeadlineExceeded(f"{what} within {deadline_s:g} s")
