"""Finds signal agents: by entry points and by ``module:Class`` names."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import cast

import structlog

from trading_system.domain.errors import ConfigurationError
from trading_system.domain.ports import SignalAgent

_LOG = structlog.get_logger(__name__)
_METHODS = ("observe", "opinion", "reset")

GROUP = "trading_system.agents"
"""Entry-point group that agents are found by."""

AgentFactory = Callable[[str], SignalAgent]
"""Makes one agent for a symbol."""


def load_agents(
    symbol: str, extra: Sequence[str] = (), *, installed: Iterable[EntryPoint] | None = None
) -> list[SignalAgent]:
    """Return one new instance of every agent for ``symbol``.

    Installed agents come first, sorted by entry-point name; one that cannot be loaded is
    skipped and the reason logged. Named agents must work.

    Parameters
    ----------
    extra : sequence of str
        ``module:Class`` names; a module may be a file in the current directory.
    installed : iterable of EntryPoint or None
        Instead of the installed entry points.

    Raises
    ------
    ConfigurationError
        If a named agent cannot be loaded or is no agent; the message says what to do.
    """
    found = entry_points(group=GROUP) if installed is None else installed
    agents = []
    for point in sorted(found, key=lambda point: point.name):
        try:
            agents.append(make_agent(_loaded(point), symbol, what=point.value))
        except ConfigurationError as e:
            _LOG.warning("a signal agent is left out", agent=point.name, reason=str(e))
    agents.extend(make_agent(find_factory(name), symbol, what=name) for name in extra)
    return agents


def find_factory(name: str) -> AgentFactory:
    """Return what ``module:Class`` names.

    Raises
    ------
    ConfigurationError
        If there is no such module or attribute.
    """
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute.isidentifier():
        raise ConfigurationError(
            f"signal {name!r} is not of the form module:Class; write for example my_signal:MySignal"
        )
    module = _imported(module_name, name)
    factory = getattr(module, attribute, None)
    if factory is None:
        raise ConfigurationError(
            f"signal {name}: module {module_name} has no {attribute}; check the spelling"
        )
    return cast("AgentFactory", factory)


def make_agent(factory: object, symbol: str, *, what: str) -> SignalAgent:
    """Return the agent that ``factory`` makes for ``symbol``.

    Raises
    ------
    ConfigurationError
        If it is not callable with a symbol or its result is no agent.
    """
    if not callable(factory):
        raise ConfigurationError(
            f"signal {what} is not callable; name a class or function that takes the symbol"
        )
    try:
        agent = factory(symbol)
    except Exception as e:  # the factory is foreign code
        raise ConfigurationError(
            f"signal {what} failed when called with {symbol!r} ({type(e).__name__}: {e}); "
            "its constructor must accept the symbol alone"
        ) from e
    missing = [name for name in _METHODS if not callable(getattr(agent, name, None))]
    missing += [
        name
        for name in ("name", "family")
        if not isinstance(getattr(agent, name, None), str) or not getattr(agent, name)
    ]
    if missing:
        raise ConfigurationError(
            f"signal {what} lacks {', '.join(missing)}; an agent has name, family, observe(), "
            "opinion() and reset(), see examples/my_signal.py"
        )
    return cast("SignalAgent", agent)


def _loaded(point: EntryPoint) -> object:
    try:
        return point.load()
    except Exception as e:  # a third party's package may be broken in any way
        raise ConfigurationError(
            f"signal {point.value} could not be loaded ({type(e).__name__}: {e}); "
            "reinstall or remove its package"
        ) from e


def _imported(module_name: str, name: str) -> object:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)  # a user's own file need not be installed
        importlib.invalidate_caches()
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as e:
        if e.name is not None and not module_name.startswith(e.name):
            raise ConfigurationError(
                f"signal {name}: module {module_name} needs {e.name}, which is not installed; "
                f"install {e.name}"
            ) from e
        raise ConfigurationError(
            f"signal {name}: there is no module {module_name}; put {module_name}.py into the "
            "current directory or install it"
        ) from e
    except Exception as e:  # importing runs foreign code
        raise ConfigurationError(
            f"signal {name}: module {module_name} failed on import ({type(e).__name__}: {e}); "
            "correct the file"
        ) from e
