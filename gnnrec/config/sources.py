"""The code of plug-ins, hashed: a run by edited code is another run."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, resolve_name
from pathlib import Path
from typing import Any

from gnnrec.config.instantiate import TARGET

OWN = "gnnrec."


def sources(node: Any, allow: Sequence[str]) -> dict[str, str]:
    """Return module -> hash of its file for every plug-in that `node` names and all that these import of their own package.

    Args:
        node: a configuration, or a part of one.
        allow: prefixes that a plug-in may have; others are refused elsewhere, and nothing of theirs is imported here.
    """
    todo = [t.rpartition(".")[0] for t in _targets(node) if t.startswith(tuple(allow)) and not t.startswith(OWN)]
    found: dict[str, str] = {}
    while todo:
        name = todo.pop()
        if name in found or (file := _file(spec := _spec(name))) is None or spec is None:
            continue
        content = file.read_bytes()
        found[name] = hashlib.blake2b(content, digest_size=16).hexdigest()
        package = name if spec.submodule_search_locations is not None else name.rpartition(".")[0]
        # Importing a.b.c runs a and a.b too.
        imported = [*_parents(name), *(_imports(content, package) if file.suffix == ".py" else ())]
        todo += [module for module in imported if _belongs(module, name, file)]
    return dict(sorted(found.items()))


def _targets(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        if TARGET in node:
            yield str(node[TARGET])
        node = list(node.values())
    if isinstance(node, list | tuple):
        for inner in node:
            yield from _targets(inner)


def _parents(name: str) -> Iterator[str]:
    while name := name.rpartition(".")[0]:
        yield name


def _imports(content: bytes, package: str) -> Iterator[str]:
    """Yield every name that a module may mean by an import; of `from a import b` both `a` and `a.b`."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):  # said where it is imported to be run
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            relative = "." * node.level + (node.module or "")
            base = resolve_name(relative, package) if node.level else relative
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _belongs(module: str, to: str, file: Path) -> bool:
    """Whether a module is of the package of `to`, or, where that is a file of its own, lies in the folder of that file."""
    top = to.partition(".")[0]
    if module.partition(".")[0] == top:
        return True
    if top != to or file.name == "__init__.py" or "site-packages" in file.parts:
        return False
    beside = file.parent / module.partition(".")[0]
    return beside.with_suffix(".py").is_file() or (beside / "__init__.py").is_file()


def _spec(name: str) -> ModuleSpec | None:
    """Return where a module is found, which imports the packages around it; None: it is no module."""
    try:
        return find_spec(name)
    except Exception:  # a package around it may raise anything; said where it is imported to be run
        return None


def _file(spec: ModuleSpec | None) -> Path | None:
    found = Path(spec.origin) if spec is not None and spec.has_location and spec.origin else None
    return found if found is not None and found.is_file() else None
