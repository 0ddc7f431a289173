"""The house: rooms stand above what they import, nothing imports in a circle, files and folders stay small."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "gnnrec"

ROOMS = (
    *("core", "config", "data", "graph", "quality", "counters", "encoders", "objectives", "scorers", "untrained"),
    "outside",
    *(
        "evaluation",
        "training",
        "reporting",
        "store",
        "learner",
        "strategies",
        "policies",
        "runs",
        "interop",
        "launching",
        "sweeping",
        "serving",
        "live",
        "api",
        "leaks",
        "testing",
        "cli",
        "__main__",
    ),
)
"""Bottom up: a room imports from itself and from those before it."""

UPWARDS: set[tuple[str, str]] = set()
"""Arrows that run up and are to go."""

CIRCLES: set[frozenset[str]] = set()
"""Modules that import each other and are to stop it."""

LONG: set[str] = set()
"""Files that are to become shorter."""

ALIKE = {"Bools", "Compose", "Config", "Floats", "Ints", "Singles"}
"""Short names of one type, given where they are used."""
TWICE: set[str] = set()
"""Names of types that mean two things and are to mean one."""

ONLY_IN = {
    "hydra": ("gnnrec.config",),
    "omegaconf": ("gnnrec.config",),
    "pytorch_lightning": ("gnnrec.training",),
    "lightning_fabric": ("gnnrec.training",),
    "lightning": ("gnnrec.training",),
    "fastapi": ("gnnrec.serving.service",),
    "uvicorn": ("gnnrec.serving.service",),
    "faiss": ("gnnrec.serving.index",),
    "submitit": ("gnnrec.launching.slurm",),
    "pytest": ("gnnrec.testing", "gnnrec.cli.check"),
}
NEVER_IN = {
    "torch": ("gnnrec.core", "gnnrec.config", "gnnrec.data", "gnnrec.quality", "gnnrec.store", "gnnrec.reporting")
}
LINES, FILES = 400, 17


def modules() -> dict[str, Path]:
    """Return every module by its dotted name; a package under its own."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = ["gnnrec", *path.relative_to(PACKAGE).with_suffix("").parts]
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imported(path: Path, names: dict[str, Path]) -> set[str]:
    """Return the modules that a file imports anywhere in it, for type checkers and inside functions too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & names.keys()
            found |= inner or {str(node.module)}
    return found


IMPORTS = {name: imported(path, MODULES) for name, path in MODULES.items()}
ARROWS = {(a, b) for a, targets in IMPORTS.items() for b in targets if b in MODULES}


def room(module: str) -> str:
    """Return the room of a module; the package itself, which holds the version, is at the bottom."""
    return [*module.split("."), "core"][1]


def upwards(arrows: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return the arrows from a room to a higher one."""
    return {(a, b) for a, b in arrows if ROOMS.index(room(a)) < ROOMS.index(room(b))}


def circles(arrows: set[tuple[str, str]]) -> set[frozenset[str]]:
    """Return the sets of modules that reach each other (Tarjan's strongly connected components)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: set[frozenset[str]] = set()
    after: dict[str, list[str]] = {}
    for a, b in sorted(arrows):
        after.setdefault(a, []).append(b)

    def visit(node: str) -> None:
        order[node] = low[node] = len(order)
        stack.append(node)
        for other in after.get(node, []):
            if other not in order:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], order[other])
        if low[node] == order[node]:
            at = stack.index(node)
            if len(stack) - at > 1 or (node, node) in arrows:
                found.add(frozenset(stack[at:]))
            del stack[at:]

    for node in list(after):
        if node not in order:
            visit(node)
    return found


def test_every_module_has_a_room():
    assert {room(m) for m in MODULES} <= set(ROOMS)


def test_no_arrow_runs_from_a_lower_room_to_a_higher_one():
    assert upwards(ARROWS) - UPWARDS == set()


def test_no_modules_import_each_other():
    assert circles(ARROWS) - CIRCLES == set()


def test_exceptions_that_are_none_any_more_are_struck_off():
    assert UPWARDS - upwards(ARROWS) == set()
    assert CIRCLES - circles(ARROWS) == set()


@pytest.mark.parametrize("library", ONLY_IN)
def test_libraries_stay_in_their_room(library):
    users = {m for m, found in IMPORTS.items() if any(f.split(".")[0] == library for f in found)}
    assert {m for m in users if not m.startswith(ONLY_IN[library])} == set()


@pytest.mark.parametrize("library", NEVER_IN)
def test_libraries_stay_out_of_rooms_that_do_without(library):
    users = {m for m, found in IMPORTS.items() if any(f.split(".")[0] == library for f in found)}
    assert {m for m in users if m.startswith(NEVER_IN[library])} == set()


def test_files_are_short():
    long = {m: n for m, path in MODULES.items() if (n := len(path.read_text().splitlines())) > LINES}
    assert {m: n for m, n in long.items() if m not in LONG} == {}
    assert set(long) >= LONG


def test_folders_are_small():
    counts: dict[Path, int] = {}
    for path in MODULES.values():
        counts[path.parent] = counts.get(path.parent, 0) + (path.name != "__init__.py")
    assert {str(f): n for f, n in counts.items() if n > FILES} == {}


def types(tree: ast.Module) -> set[str]:
    """Return the names of the types that a module gives: classes, and capitalised aliases."""
    found = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    targets = [t for node in tree.body if isinstance(node, ast.Assign) for t in node.targets if isinstance(t, ast.Name)]
    return found | {t.id for t in targets if t.id[0].isupper() and not t.id.isupper()}


def test_a_type_name_means_one_thing():
    counts: dict[str, int] = {}
    for path in MODULES.values():
        for name in types(ast.parse(path.read_text())):
            counts[name] = counts.get(name, 0) + 1
    assert {name for name, n in counts.items() if n > 1} - ALIKE - TWICE == set()


def test_what_is_looked_for_is_found():
    """A circle and an arrow upwards, planted, are seen."""
    assert circles({("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")}) == {frozenset("abc")}
    assert circles({("a", "b"), ("b", "c"), ("a", "c")}) == set()
    arrow = ("gnnrec.data.types", "gnnrec.learner")
    assert upwards({arrow, arrow[::-1]}) == {arrow}


def test_imports_are_seen_wherever_they_stand(tmp_path):
    text = (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from gnnrec.learner import Learner\n"
        "def f():\n    import hydra.core\n    from gnnrec.data import types\n"
    )
    path = tmp_path / "m.py"
    path.write_text(text)
    assert imported(path, MODULES) == {"typing", "gnnrec.learner", "hydra.core", "gnnrec.data.types"}
