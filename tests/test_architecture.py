"""The rules of direction between packages, the style and the types hold."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    "command",
    [
        ["lint-imports", "--config", "pyproject.toml"],
        ["ruff", "check", "--no-cache", "."],
        ["ruff", "format", "--check", "--no-cache", "."],
        ["mypy", "--no-error-summary"],
    ],
    ids=["import-linter", "ruff", "format", "mypy"],
)
def test_checker_is_clean(command: list[str]) -> None:
    run = subprocess.run([str(BIN / command[0]), *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_no_module_imports_itself_by_way_of_others() -> None:
    files = {_name(path): path for room in ("app", "engine") for path in (ROOT / room).rglob("*.py")}
    graph = {name: set(_imports(ast.parse(path.read_text()), files)) for name, path in files.items()}
    assert [" → ".join(cycle) for cycle in _cycles(graph)] == []


def test_a_cycle_is_found_also_through_functions_and_not_through_types() -> None:
    known = {name: Path() for name in ("engine.a", "engine.b", "engine.c", "engine.c.d")}
    a = "import torch\nfrom engine import b\nif TYPE_CHECKING:\n    from engine.c import d\nelse:\n    import engine.c"
    assert set(_imports(ast.parse(a), known)) == {"engine.b", "engine.c"}
    b = "def late():\n    from engine.c.d import word"
    assert set(_imports(ast.parse(b), known)) == {"engine.c.d"}
    graph = {"engine.a": {"engine.b"}, "engine.b": {"engine.c.d"}, "engine.c": set(), "engine.c.d": {"engine.a"}}
    assert _cycles(graph) == [["engine.a", "engine.b", "engine.c.d", "engine.a"]]
    assert _cycles(graph | {"engine.c.d": {"engine.c"}}) == []


def test_no_page_has_a_text_by_itself() -> None:
    """Streamlit shows such a text on the page, also one that only says what the name above it is."""
    for path in (ROOT / "app" / "pages").glob("*.py"):
        assert [one.lineno for one in ast.parse(path.read_text()).body[1:] if _is_text(one)] == [], path


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant | ast.JoinedStr)


def test_no_module_reaches_into_anothers_private_names() -> None:
    for room in ("app", "engine"):
        for path in (ROOT / room).rglob("*.py"):
            assert list(_private_uses(ast.parse(path.read_text()))) == [], path


def test_a_private_name_is_found_in_imports_and_through_modules() -> None:
    source = "from engine.a import _one, two\nfrom engine import b\nb._three\nb.four\ntwo._five\nself._six"
    assert list(_private_uses(ast.parse(source))) == ["_one", "_three", "_five"]


def _private_uses(tree: ast.AST) -> Iterator[str]:
    """Names with an underscore that this code takes from other modules of the project."""
    imported: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] in {"app", "engine"}:
            imported |= {alias.asname or alias.name for alias in node.names}
            yield from (alias.name for alias in node.names if _is_private(alias.name))
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in imported:
            yield from ([node.attr] if _is_private(node.attr) else [])


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _imports(tree: ast.AST, known: Mapping[str, Path]) -> Iterator[str]:
    """Modules among the known ones that this code imports when it runs, at its start or in a function."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            yield from _imports(ast.Module(node.orelse, []), known)
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if whole in known or node.module in known:
                    yield whole if whole in known else str(node.module)
        yield from _imports(node, known)


def _cycles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """The shortest way from each module back to itself, each cycle once."""
    found: dict[frozenset[str], list[str]] = {}
    for start in sorted(graph):
        ways = deque([[start]])
        seen: set[str] = set()
        while ways:
            way = ways.popleft()
            if start in graph[way[-1]]:
                found.setdefault(frozenset(way), [*way, start])
                break
            fresh = sorted(graph[way[-1]] - seen)
            seen.update(fresh)
            ways.extend([*way, name] for name in fresh)
    return list(found.values())


def test_top_level_holds_only_what_the_layout_names() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    top = {line.split("/")[0] for line in listed.splitlines()}
    assert {name for name in top if not name.startswith(".")} == {
        "LICENSE", "README.md", "app", "data", "engine", "pyproject.toml", "tests",
    }  # fmt: skip


def test_streamlit_settings_file_says_what_the_command_sets() -> None:
    from app.server import access, streamlit_app

    found = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    flat = {}
    for section, values in found.items():
        for name, value in values.items():
            if isinstance(value, dict):
                flat |= {f"{section}.{name}.{inner}": one for inner, one in value.items()}
            else:
                flat[f"{section}.{name}"] = value
    shipped = streamlit_app.settings("127.0.0.1", 8501, access.Access())
    del shipped["server.port"]
    assert flat == shipped
