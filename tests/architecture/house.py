"""The package as the rules see it: its modules, and what each of them imports."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True)
class Import:
    """One thing that a module imports.

    Attributes:
        target: "torch", "hpctrain.layout.blocks"; for `from a import b` it is "a.b", whatever b is.
        line: where.
        lazy: inside a function, so that importing the module does not import the target.
    """

    target: str
    line: int
    lazy: bool


@dataclass(frozen=True)
class Module:
    """One file of the package: its dotted name and its source."""

    name: str
    source: str
    is_package: bool = False

    @property
    def room(self) -> str:
        """The first name under the package: "layout", "errors"; "" for the package itself."""
        return f"{self.name}.".split(".")[1]

    @property
    def stem(self) -> str:
        """The last part of the name."""
        return self.name.rpartition(".")[2]

    @cached_property
    def tree(self) -> ast.Module:
        """The parsed source."""
        return ast.parse(self.source, self.name)

    @cached_property
    def imports(self) -> list[Import]:
        """The imports that happen when the code runs: those for type checkers alone do not."""
        finder = _ImportFinder(self.name if self.is_package else self.name.rpartition(".")[0])
        finder.visit(self.tree)
        return finder.found


class House:
    """All modules of the package."""

    def __init__(self, modules: list[Module]) -> None:
        self.modules = modules
        self._by_name = {module.name: module for module in modules}

    @classmethod
    def at(cls, root: Path) -> House:
        """The package whose directory is `root`."""
        return cls([_read(path, root) for path in sorted(root.rglob("*.py"))])

    def module_of(self, target: str) -> Module | None:
        """The module that an import's target lies in, or None where that is outside the package."""
        while target and target not in self._by_name:
            target = target.rpartition(".")[0]
        return self._by_name.get(target)


def _read(path: Path, root: Path) -> Module:
    parts = path.relative_to(root.parent).with_suffix("").parts
    is_package = parts[-1] == "__init__"
    return Module(".".join(parts[:-1] if is_package else parts), path.read_text(encoding="utf-8"), is_package)


class _ImportFinder(ast.NodeVisitor):
    def __init__(self, package: str) -> None:
        self.found: list[Import] = []
        self._package = package
        self._functions = 0

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._add(alias.name, node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        origin = node.module or ""
        if node.level:
            parents = self._package.split(".")
            origin = ".".join([*parents[: len(parents) - node.level + 1], *([origin] if origin else [])])
        for alias in node.names:
            self._add(f"{origin}.{alias.name}", node)

    def visit_Call(self, node: ast.Call) -> None:
        match node:
            case ast.Call(
                func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(target)), *_],
            ):
                self._add(target, node)
        self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for child in node.orelse:
                self.visit(child)
        else:
            self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        self._functions += 1
        self.generic_visit(node)
        self._functions -= 1

    visit_AsyncFunctionDef = visit_FunctionDef
    visit_Lambda = visit_FunctionDef

    def _add(self, target: str, node: ast.stmt | ast.expr) -> None:
        self.found.append(Import(target, node.lineno, lazy=self._functions > 0))
