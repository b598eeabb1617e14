"""Puts back what a small model forgot: imports and functions of a Python file it rewrote.

Only whole top-level statements of the old file return, only if the new code uses their names and
does not define them: without them the file could not run.
"""

from __future__ import annotations

import ast
import builtins


def keep_what_is_missing(old: str, new: str) -> tuple[str, tuple[str, ...]]:
    """The new code with what it needs from the old, and the names that were put back."""
    old_tree, new_tree = _tree(old), _tree(new)
    if old_tree is None or new_tree is None:
        return new, ()
    lines = old.splitlines()
    kept: list[tuple[ast.stmt, str]] = []
    defined = _defined(new_tree) | set(dir(builtins))
    wanted = _used(new_tree) - defined
    changed = True
    while changed and wanted:  # a function that is put back may need another
        changed = False
        for statement in old_tree.body:
            names = _names(statement)
            if names & wanted and not any(statement is known for known, _ in kept):
                kept.append((statement, _source(lines, statement)))
                defined |= names
                wanted = (wanted | _used(statement)) - defined
                changed = True
    if not kept:
        return new, ()
    kept.sort(key=lambda item: item[0].lineno)
    imports = [s for node, s in kept if isinstance(node, ast.Import | ast.ImportFrom)]
    rest = [s for node, s in kept if not isinstance(node, ast.Import | ast.ImportFrom)]
    head_end = _end_of_head(new_tree)
    new_lines = new.splitlines()
    head, body = new_lines[:head_end], new_lines[head_end:]
    block = [*imports, *(line for source in rest for line in ("", source, ""))]
    text = "\n".join([*head, *block, *([""] if not imports or head else []), *body]) + "\n"
    if _tree(text) is None:
        return new, ()
    return text, tuple(sorted({name for node, _ in kept for name in _names(node)}))


def _tree(code: str) -> ast.Module | None:
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _end_of_head(tree: ast.Module) -> int:
    """The line after the docstring and `from __future__` imports, where more may stand."""
    end = 0
    for number, node in enumerate(tree.body):
        is_docstring = number == 0 and isinstance(node, ast.Expr) and _is_text(node.value)
        is_future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
        if not is_docstring and not is_future:
            break
        end = node.end_lineno or end
    return end


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _source(lines: list[str], node: ast.stmt) -> str:
    decorators = getattr(node, "decorator_list", [])
    start = min([node.lineno, *(decorator.lineno for decorator in decorators)])
    return "\n".join(lines[start - 1 : node.end_lineno])


def _names(node: ast.stmt) -> set[str]:
    """Names one top-level statement defines."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {
            (alias.asname or alias.name).split(".")[0] for alias in node.names if alias.name != "*"
        }
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return {target.id for target in targets if isinstance(target, ast.Name)}
    return set()


def _defined(tree: ast.Module) -> set[str]:
    """Every name the module binds anywhere; a star import may bind any."""
    bound: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            bound.add(node.id)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            bound.add(node.name)
        elif isinstance(node, ast.stmt):
            bound |= _names(node)
    return bound


def _used(tree: ast.AST) -> set[str]:
    return {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
