from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SOCKET_ROOMS = (
    "optimizers.transport",
    "trading_system.api",
    "trading_system.cli",
    "trading_system.cost_simulator",
    "trading_system.dashboard",
    "trading_system.monitoring.alerts",
    "trading_system.simulation.bybit_server",
    "trading_system.simulation.live_market",
    "trading_system.simulation.okx_server",
    "trading_system.venues",
)
NETWORK_MODULES = {
    "aiohttp",
    "fastapi",
    "http.client",
    "http.server",
    "httpx",
    "pybit",
    "requests",
    "socket",
    "socketserver",
    "ssl",
    "starlette",
    "urllib.request",
    "uvicorn",
    "websockets",
}
NETWORK_CALLS = {
    "create_connection",
    "create_datagram_endpoint",
    "create_server",
    "create_unix_connection",
    "open_connection",
    "start_server",
}
# The rooms each contract must watch as soon as they exist.
WATCHED = {
    "network-at-the-edge": {
        "agents.models",
        "optimizers.costs",
        "optimizers.execution",
        "trading_system.domain",
        "trading_system.execution",
        "trading_system.market",
        "trading_system.monitoring",
        "trading_system.risk",
        "trading_system.runtime",
        "trading_system.simulation.matching",
    },
    "learners-in-agents": {
        "optimizers.execution",
        "optimizers.transport",
        "trading_system.domain",
        "trading_system.execution",
        "trading_system.market",
        "trading_system.risk",
        "trading_system.simulation",
        "trading_system.venues",
    },
    "dashboard-reads-ports": {"trading_system.api", "trading_system.dashboard"},
    "pure-domain": {"trading_system.domain"},
    "lazy-init": {"agents", "optimizers", "trading_system"},
}
# Forks one child per module from a process that has only third-party libraries loaded, so that
# each module is imported first, as a user might, without paying for numpy a hundred times.
IMPORT_EACH = """
import contextlib, importlib, json, os, sys, traceback, warnings
warnings.simplefilter("error")
job = json.load(sys.stdin)
for name in job["preload"]:
    with contextlib.suppress(ImportError):
        importlib.import_module(name)
failures = {}
for name in job["modules"]:
    read_fd, write_fd = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pid = os.fork()
    if pid == 0:
        code = 1
        try:
            importlib.import_module(name)
            code = 0
        except BaseException:
            os.write(write_fd, traceback.format_exc()[-4000:].encode())
        os._exit(code)
    os.close(write_fd)
    with os.fdopen(read_fd) as pipe:
        text = pipe.read()
    if os.waitpid(pid, 0)[1] != 0:
        failures[name] = text or "ended without a word"
json.dump(failures, sys.stdout)
"""


def is_inside(name: str, room: str) -> bool:
    return name == room or name.startswith(f"{room}.")


def roots_of(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def test_import_contracts_hold(root):
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_module_is_in_a_layer(modules, layers):
    rooms = [layer.strip("()") for layer in layers]
    for module in modules:
        holds_layers = module.is_package and any(is_inside(room, module.name) for room in rooms)
        assert holds_layers or any(is_inside(module.name, room) for room in rooms), module.name


def test_parenthesised_layers_do_not_exist_and_the_others_do(modules, layers):
    names = {module.name for module in modules}
    planned = {layer.strip("()") for layer in layers if layer.startswith("(")}
    assert planned & names == set(), "remove the parentheses of these layers"
    assert {layer for layer in layers if not layer.startswith("(")} - names == set()


@pytest.mark.parametrize("contract", sorted(WATCHED))
def test_contracts_watch_every_room_that_exists(contract, contracts, modules):
    existing = WATCHED[contract] & {module.name for module in modules}
    assert set(contracts[contract]["source_modules"]) == existing


def test_domain_imports_only_the_standard_library(modules):
    for module in modules:
        if is_inside(module.name, "trading_system.domain"):
            foreign = roots_of(
                {n for n in module.imported() if not is_inside(n, "trading_system.domain")}
            )
            assert foreign - sys.stdlib_module_names == set(), module.name


def test_only_edges_open_sockets(modules):
    for module in modules:
        if any(is_inside(module.name, room) for room in SOCKET_ROOMS):
            continue
        opened = {n for n in module.imported() for m in NETWORK_MODULES if is_inside(n, m)}
        called = {n.attr for n in ast.walk(module.tree) if isinstance(n, ast.Attribute)}
        assert opened == set(), module.name
        assert called & NETWORK_CALLS == set(), module.name


def test_project_imports_are_absolute_and_at_the_top(modules):
    for module in modules:
        functions = [
            node
            for node in ast.walk(module.tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
        inner = {n for f in functions for n in ast.walk(f) if isinstance(n, ast.ImportFrom)}
        names = {node.module or "" for node in inner}
        assert roots_of(names) & {"trading_system", "optimizers", "agents"} == set(), module.name


def test_learners_are_imported_only_where_they_may_be(modules):
    allowed = ("agents.models", "optimizers.costs.fitting")
    for module in modules:
        if not any(is_inside(module.name, room) for room in allowed):
            assert roots_of(module.imported()) & {"sklearn", "lightgbm"} == set(), module.name


def test_simulation_and_venue_client_know_nothing_of_each_other(modules):
    for module in modules:
        for own, other in (
            ("trading_system.simulation", "trading_system.venues"),
            ("trading_system.venues", "trading_system.simulation"),
        ):
            if is_inside(module.name, own):
                assert not any(is_inside(name, other) for name in module.imported()), module.name


def test_every_module_imports_first_in_a_fresh_process_without_warnings(root, modules):
    own = {"trading_system", "optimizers", "agents"}
    foreign = {name for module in modules for name in roots_of(module.imported())}
    job = {
        "preload": sorted(foreign - own - set(sys.stdlib_module_names) - {"__future__"}),
        "modules": [module.name for module in modules],
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORT_EACH],
        cwd=root,
        input=json.dumps(job),
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    failures = json.loads(done.stdout)
    assert not failures, "\n\n".join(f"{name}:\n{text}" for name, text in failures.items())


def test_the_trading_process_starts_without_what_only_tools_and_few_keys_need(root):
    code = (
        "import json, sys, trading_system.cli.main, trading_system.live.desk\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    rare = {"cryptography", "lightgbm", "polars", "sklearn", "zstandard"}
    assert rare.isdisjoint(json.loads(loaded.stdout))
