from __future__ import annotations

import ast
import re
from importlib import import_module

MODULE_LINES = 600
CLASS_LINES = 400
BODY_LINES = 70
FACES = {"trading_system", "optimizers", "agents"}
UNDONE = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME)\b")
SILENCED = re.compile(r"#\s*(?:no" + r"qa|type:\s*ignore|ruff:|mypy:)")
EXPLAINED = re.compile(
    r"#\s*(?:noqa:\s*[A-Z]+\d+(?:\s*,\s*[A-Z]+\d+)*|type:\s*ignore\[[a-z-]+(?:,\s*[a-z-]+)*\])"
    r"\s*(?:-|#|--)\s*\S+\s+\S+"
)
MACHINE_PATHS = ("/wo" + "rk/", "/ro" + "ot/", "/ho" + "me/")
SOURCES = ("trading_system", "optimizers", "agents", "tests", "benchmarks", "examples")


def functions(tree: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    statements = function.body[1:] if ast.get_docstring(function) else function.body
    if not statements:
        return 0
    assert function.end_lineno is not None
    return function.end_lineno - statements[0].lineno + 1


def test_modules_stay_small(modules):
    for module in modules:
        assert len(module.text.splitlines()) <= MODULE_LINES, module.name


def test_functions_stay_small(modules):
    for module in modules:
        for function in functions(module.tree):
            assert body_lines(function) <= BODY_LINES, f"{module.name}.{function.name}"


def test_classes_stay_small(modules):
    for module in modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef):
                assert node.end_lineno - node.lineno < CLASS_LINES, f"{module.name}.{node.name}"


def test_nothing_assigns_globals(modules):
    for module in modules:
        found = [n.lineno for n in ast.walk(module.tree) if isinstance(n, ast.Global)]
        assert found == [], module.name


def test_library_does_not_print(modules):
    for module in modules:
        calls = [n for n in ast.walk(module.tree) if isinstance(n, ast.Call)]
        names = {call.func.id for call in calls if isinstance(call.func, ast.Name)}
        assert "print" not in names, module.name


def test_tasks_are_born_in_groups(modules):
    for module in modules:
        calls = {ast.unparse(n.func) for n in ast.walk(module.tree) if isinstance(n, ast.Call)}
        loose = {"asyncio.create_task", "asyncio.ensure_future", "asyncio.gather"} & calls
        allowed = module.name == "trading_system.runtime.lifecycle"
        assert loose == ({"asyncio.create_task"} if allowed else set()), module.name


def test_package_files_hold_a_docstring_only(modules):
    for module in modules:
        if module.is_package and module.name not in FACES:
            assert ast.get_docstring(module.tree), module.name
            assert len(module.tree.body) == 1, module.name


def test_public_names_are_sorted_and_true(modules):
    for module in modules:
        if "__all__" in module.text:
            loaded = import_module(module.name)
            assert list(loaded.__all__) == sorted(loaded.__all__), module.name
            assert [n for n in loaded.__all__ if not hasattr(loaded, n)] == [], module.name


def test_faces_list_exactly_their_public_names():
    for name in FACES:
        face = import_module(name)
        listed = set(face.__all__)
        assert listed <= set(dir(face)), name
        assert hasattr(face, "no_such_name") is False


def test_packages_are_typed(root):
    for package in FACES:
        assert (root / package / "py.typed").is_file()


def test_nothing_is_left_undone_or_names_a_machine(root):
    paths = [path for folder in SOURCES for path in sorted((root / folder).rglob("*.py"))]
    assert paths
    for path in paths:
        text = path.read_text()
        assert UNDONE.search(text) is None, path
        assert not any(place in text for place in MACHINE_PATHS), path


def test_silenced_checks_carry_code_and_reason(root):
    bare = [
        f"{path.relative_to(root)}:{number}: {line.strip()}"
        for folder in SOURCES
        for path in sorted((root / folder).rglob("*.py"))
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if SILENCED.search(line) and not EXPLAINED.search(line)
    ]
    assert bare == []


def test_lock_files_name_no_address(root):
    locks = sorted((root / "requirements").glob("*.lock"))
    assert {lock.name for lock in locks} >= {"dev.lock", "peers.lock", "runtime.lock"}
    for lock in locks:
        text = lock.read_text().lower()
        for word in ("http:", "https:", "file:", "index-url", "find-links"):
            assert word not in text, f"{lock.name}: {word}"


def test_lock_files_pin_every_package_with_a_hash(root):
    for lock in sorted((root / "requirements").glob("*.lock")):
        for entry in re.split(r"\n(?=\S)", lock.read_text().strip()):
            if not entry.startswith("#"):
                assert "==" in entry.splitlines()[0], f"{lock.name}: {entry[:80]}"
                assert "--hash=sha256:" in entry, f"{lock.name}: {entry[:80]}"


def test_runtime_lock_is_part_of_the_development_lock(root):
    def pinned(name: str) -> set[str]:
        text = (root / "requirements" / name).read_text()
        return {line.split()[0] for line in text.splitlines() if "==" in line}

    assert pinned("runtime.lock") <= pinned("dev.lock")


def test_project_documents_exist(root):
    for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", ".env.example"):
        assert (root / name).read_text().strip(), name
