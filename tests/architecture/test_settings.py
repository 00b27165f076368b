from __future__ import annotations

import ast

from trading_system.config.settings import KNOWN_BY_NAME, Settings, variables


def _attributes(module) -> list[ast.Attribute]:
    return [node for node in ast.walk(module.tree) if isinstance(node, ast.Attribute)]


def test_every_setting_is_read_by_some_code(modules):
    # A limit that nobody reads looks like protection and is none. A field is read where somebody
    # takes it from its section by name, or where a module that knows the section's class takes it.
    outside = [m for m in modules if not m.name.startswith("trading_system.config")]
    taken: set[tuple[str, str]] = set()
    for module in outside:
        known = {name.rpartition(".")[2] for name in module.imported()}
        for node in _attributes(module):
            text = ast.unparse(node).replace("._", ".")
            taken.add(("settings", *text.split("."))[-2:])
            taken |= {(name, node.attr) for name in known}
    unread = []
    for variable in variables().values():
        section, field = ("settings", *variable.key)[-2:]
        model = Settings.model_fields[variable.key[0]].annotation
        name = getattr(model, "__name__", "")
        if not {(section, field), (section, "model_dump"), (name, field)} & taken:
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
