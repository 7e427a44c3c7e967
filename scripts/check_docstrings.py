"""Finds public methods without a docstring. Modules, classes and functions are looked at by ruff.

A method that carries out a contract needs none of its own: where a Protocol, or a class from which others are derived,
has a method of that name and those arguments with a docstring, that says what all of them do.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from scripts import documents

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = "fsspec_gp_plugin"


def problems(root: Path) -> Iterator[str]:
    """Each public method that says nowhere what it does, as a line of text."""
    classes = [
        (path.relative_to(root), node)
        for path in sorted((root / PACKAGE).rglob("*.py"))
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef)
    ]
    bases = {ast.unparse(base) for _, node in classes for base in node.bases}
    stated = {
        _signature(method)
        for _, node in classes
        if node.name in bases or "Protocol" in map(ast.unparse, node.bases)
        for method in _methods(node)
        if ast.get_docstring(method)
    }
    for path, node in classes:
        for method in _methods(node) if not node.name.startswith("_") else ():
            if not (method.name.startswith("_") or ast.get_docstring(method) or _signature(method) in stated):
                yield f"{path}:{method.lineno}: {node.name}.{method.name} has no docstring"


def _methods(node: ast.ClassDef) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """All but the setters of properties, whose getters say what they are."""
    methods = [one for one in node.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [one for one in methods if not any(ast.unparse(name).endswith(".setter") for name in one.decorator_list)]


def _signature(method: ast.FunctionDef | ast.AsyncFunctionDef) -> tuple[str, ...]:
    arguments = method.args
    return method.name, *(one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs))


if __name__ == "__main__":
    sys.exit(documents.report("check_docstrings", problems(Path.cwd())))
