from __future__ import annotations

import ast

from trading_system.config.settings import KNOWN_BY_NAME, variables


def test_every_setting_is_read_by_some_code(modules):
    # A limit that nobody reads looks like protection and is none.
    read = {
        ast.unparse(node)
        for module in modules
        if not module.name.startswith("trading_system.config")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute)
    }
    endings = {tuple(text.replace("._", ".").split(".")[-2:]) for text in read}
    unread = []
    for variable in variables().values():
        section, field = ("settings", *variable.key)[-2:]
        if not {(section, field), (section, "model_dump")} & endings:
            unread.append(variable.name)
    assert unread == []


def test_environment_is_read_by_the_settings_and_the_lifeline_only(modules):
    allowed = {"trading_system.config.settings", "trading_system.runtime.child"}
    for module in modules:
        names = {ast.unparse(n) for n in ast.walk(module.tree) if isinstance(n, ast.Attribute)}
        own = {name for name in KNOWN_BY_NAME if f'"{name}"' in module.text}
        if module.name not in allowed:
            assert own == set(), module.name
            assert "os.getenv" not in names, module.name
