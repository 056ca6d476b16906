"""Component sources for export: only what is used, without declarations, so that they run on torch alone.

A file of `nodes/` becomes a file of `layers/`: decorators and markers are taken out, `Float[Tensor, "B C H W"]` becomes
`Tensor` and `Annotated[int, Range(1, 64)]` becomes `int` by edits of the text, so that comments and docstrings stay.
Then every top-level definition that nothing reaches is left out.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from nodes.sdk.discover import USER_MODULE

TENSORS = {"Float", "Int", "Bool", "Shaped", "Num"}
DECORATORS = {"component", "composite"}
LEFT_OUT = ("nodes.sdk", "jaxtyping")


@dataclass
class _File:
    """One source file after the edits: its text, its statements, and which are wanted."""

    text: str
    body: list[ast.stmt]
    wanted: set[str] = field(default_factory=set)

    @property
    def defined(self) -> dict[str, ast.stmt]:
        return {name: statement for statement in self.body for name in _names(statement)}


def collect(needed: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Sources for definitions and all that they use.

    Args:
        needed: module and name of each, such as ("nodes.csp", "C2f").

    Returns:
        Text by path below `layers/`, such as `csp.py` and `backbones/resnet.py`.
    """
    files: dict[str, _File] = {}
    todo = list(needed)
    while todo:
        module, name = todo.pop()
        if module not in files:
            text = strip(inspect.getsource(importlib.import_module(module)))
            files[module] = _File(text, ast.parse(text).body)
        file = files[module]
        if name in file.wanted or name not in file.defined:
            continue
        file.wanted.add(name)
        statement = file.defined[name]
        if isinstance(statement, ast.ImportFrom) and (statement.module or "").startswith("nodes."):
            original = next(a.name for a in statement.names if (a.asname or a.name) == name)
            todo.append((statement.module or "", original))
        todo += [(module, used) for used in _used(statement) if used in file.defined]
    return {_path(module): _emit(file) for module, file in sorted(files.items())}


def layer_module(module: str) -> str:
    """`nodes.backbones.resnet` -> `layers.backbones.resnet`; a user's own file becomes `layers.user_NAME`."""
    if module == "nodes" or module.startswith("nodes."):
        return "layers" + module.removeprefix("nodes")
    name = module.removeprefix(USER_MODULE).partition("_")[2] if module.startswith(USER_MODULE) else module
    return f"layers.user_{name.replace('.', '_')}"


def _path(module: str) -> str:
    return layer_module(module).removeprefix("layers.").replace(".", "/") + ".py"


def strip(source: str) -> str:
    """A component file without its declarations."""
    edits = [(_span(source, node), text) for node, text in _edits(ast.parse(source))]
    for decorator in _decorators(ast.parse(source)):
        start, end = _span(source, decorator)
        start = source.encode().rindex(b"@", 0, start)
        after = re.match(rb"( *#[^\n]*)?[ \n]*", source.encode()[end:])  # its comment goes with it
        end += after.end() if after else 0
        edits.append(((start, end), ""))
    raw = source.encode()
    for (start, end), text in sorted(edits, reverse=True):
        raw = raw[:start] + text.encode() + raw[end:]
    return raw.decode()


def _edits(tree: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Annotations with what to write in their place; inner ones are covered by the outer."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and node.annotation is not None:
            hints = [node.annotation]
        elif isinstance(node, ast.FunctionDef) and node.returns is not None:
            hints = [node.returns]
        elif isinstance(node, ast.AnnAssign):
            hints = [node.annotation]
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript):
            hints = [node.value]  # an annotation that has a name: Out = Annotated[int, Range(1, 64)]
        else:
            continue
        for hint in hints:
            plain = ast.unparse(_Plain().visit(ast.parse(ast.unparse(hint), mode="eval")).body)
            if plain != ast.unparse(hint):
                yield hint, plain


class _Plain(ast.NodeTransformer):
    """Takes jaxtyping and markers out of an annotation."""

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        name = node.value.id if isinstance(node.value, ast.Name) else ""
        if name in TENSORS:
            return ast.Name("Tensor")
        if name == "Annotated" and isinstance(node.slice, ast.Tuple):
            return self.visit(node.slice.elts[0])
        return self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        # `Int[Tensor, " B"] | Float[Tensor, "B K"]` are two kinds of tensor, and one once they are plain.
        plain = self.generic_visit(node)
        assert isinstance(plain, ast.BinOp)
        return plain.left if ast.dump(plain.left) == ast.dump(plain.right) else plain


def _decorators(tree: ast.AST) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        for decorator in getattr(node, "decorator_list", ()):
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            if isinstance(called, ast.Name) and called.id in DECORATORS:
                yield decorator


def _span(source: str, node: ast.AST) -> tuple[int, int]:
    """Byte offsets of a node."""
    starts = [0]
    for line in source.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    return (
        starts[node.lineno - 1] + node.col_offset,  # type: ignore[attr-defined]
        starts[node.end_lineno - 1] + node.end_col_offset,  # type: ignore[attr-defined]
    )


def _names(statement: ast.stmt) -> list[str]:
    """What a top-level statement defines or imports."""
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return [(a.asname or a.name).partition(".")[0] for a in statement.names]
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        return [statement.name]
    if isinstance(statement, ast.Assign):
        return [n.id for t in statement.targets for n in ast.walk(t) if isinstance(n, ast.Name)]
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        return [statement.target.id]
    return []


def _used(statement: ast.stmt) -> set[str]:
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return set()
    return {n.id for n in ast.walk(statement) if isinstance(n, ast.Name)}


def _emit(file: _File) -> str:
    """The text of a file with only its wanted statements."""
    lines = file.text.splitlines()
    parts: list[str] = []
    previous_end, kept, last_group = 0, False, -1
    for i, statement in enumerate(file.body):
        start = min([statement.lineno, *(d.lineno for d in getattr(statement, "decorator_list", ()))])
        while start - 1 > previous_end and lines[start - 2].startswith("#"):
            start -= 1  # comments right above belong to it
        end = previous_end = statement.end_lineno or start
        future = isinstance(statement, ast.ImportFrom) and statement.module == "__future__"
        if isinstance(statement, (ast.Import, ast.ImportFrom)) and not future:
            kept = False
            if text := _import(statement, file.wanted):
                group = _group(text)
                parts.append(("\n" if group > last_group >= 0 else "") + text)
                last_group = group
            continue
        documents = isinstance(statement, ast.Expr)  # of the file, or of the constant above it
        kept = future or i == 0 or (kept if documents else bool(set(_names(statement)) & file.wanted))
        if kept:
            gap = "\n\n" if isinstance(statement, (ast.FunctionDef, ast.ClassDef)) else "" if documents else "\n"
            parts.append(gap + "\n".join(lines[start - 1 : end]) + ("\n" if future else ""))
    return "\n".join(parts).strip() + "\n"


def _group(text: str) -> int:
    """Standard library, torch, our own layers: groups that a blank line parts."""
    module = text.split()[1]
    return 2 if module.startswith("layers") else 1 if module.startswith("torch") else 0


def _import(statement: ast.Import | ast.ImportFrom, wanted: set[str]) -> str:
    names = [a for a in statement.names if (a.asname or a.name).partition(".")[0] in wanted]
    if not names:
        return ""
    text = ", ".join(f"{a.name} as {a.asname}" if a.asname else a.name for a in names)
    if isinstance(statement, ast.Import):
        return f"import {text}"
    module = statement.module or ""
    if module.startswith(LEFT_OUT):
        return ""
    return f"from {layer_module(module) if module.startswith('nodes.') else module} import {text}"
